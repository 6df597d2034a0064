"""A web server and a git server on loopback, for what a build reads from afar."""
import gzip
import http.server
import os
import subprocess
import threading

from keg import run

GIT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": "/nonexistent", "PATH": os.environ["PATH"],
       "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example",
       "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z"}


class WebServer:
    """Gives `pages`, {path: (status, headers, body) or what answers a request}, and the git repositories below a directory. Notes every path."""

    def __init__(self, repositories=None):
        self.pages, self.asked, self.repositories = {}, [], repositories
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                page = server.pages.get(self.path.split("?")[0])
                if page is None and server.repositories:
                    return server.git(self)
                if callable(page):
                    return page(self)
                status, headers, body = page or (404, {}, b"nothing here")
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def git(self, request):
        """By git http-backend, which is a program of CGI."""
        path, _, query = request.path.partition("?")
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        environment = GIT | {"GIT_PROJECT_ROOT": str(self.repositories), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
                             "REQUEST_METHOD": request.command, "CONTENT_TYPE": request.headers.get("Content-Type") or "", "CONTENT_LENGTH": str(len(body)),
                             "GIT_PROTOCOL": request.headers.get("Git-Protocol") or "", "REMOTE_ADDR": "127.0.0.1"}
        said = subprocess.run(["git", "http-backend"], input=body, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment).stdout
        head, _, content = said.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = next((value.split()[0] for name, value in headers if name == "Status"), "200")
        request.send_response(int(status))
        for name, value in headers:
            if name != "Status":
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)


class Repository:
    """A bare one at `path`, and a tree that is committed to it."""

    def __init__(self, path):
        self.path, self.tree = path, path.parent / (path.name + ".tree")
        run("git", "init", "-q", "--bare", "-b", "main", path, env=GIT)
        run("git", "init", "-q", "-b", "main", self.tree, env=GIT)

    def git(self, *words):
        return run("git", "-C", self.tree, *words, env=GIT).stdout.strip()

    def commit(self, files, *more, branch="main"):
        """{path: text, or a link's target as a tuple}; gives the commit."""
        for name, text in files.items():
            place = self.tree / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(text, tuple):
                place.symlink_to(text[0])
            else:
                place.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x", *more)
        self.git("push", "-q", self.path, f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def tag(self, name, annotated=False):
        self.git("tag", *(["-a", "-m", "x"] if annotated else []), name)
        self.git("push", "-q", self.path, f"refs/tags/{name}")
