"""A registry in memory that does what is right, but for what a test tells it to do wrong, and notes what was asked of it."""
import base64
import http.server
import itertools
import json
import socket
import threading
import time
import urllib.parse

from archives import sha

INDEX = "application/vnd.oci.image.index.v1+json"


def answer(status, headers=(), body=b""):
    """A fault: this instead of the right answer, with the request's body read."""
    def act(request):
        request.body()
        request.reply(status, dict(headers), body)
    return act


def break_off(sent=0, read=0):
    """A fault: the connection ends after so many bytes of the answer, or of the request's body."""
    def act(request):
        if read:
            request.keep(request.rfile.read(read))
        else:
            request.stop_after = sent
            request.route()
        request.abort()
    return act


def lie(headers=None, body=None):
    """A fault: the right answer, but for these headers or this body."""
    def act(request):
        request.lies = (headers or {}, body)
        request.route()
    return act


def drip(request):
    """A fault: a byte now and then."""
    request.send_response(200)
    request.send_header("Content-Length", "100000")
    request.end_headers()
    for _ in range(100):
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.3)


class Registry:
    """`password`: {user: password}, by "basic" or by "token" (then anybody may pull `public` repositories).
    `referrers`: it has the API for them, and lists so many a page."""

    def __init__(self, auth=None, passwords=(), public=(), tls=None, address="127.0.0.1", referrers=0):
        self.auth, self.passwords, self.public = auth, dict(passwords), set(public)
        self.blobs, self.places, self.manifests, self.uploads = {}, set(), {}, {}
        self.log, self.faults, self.received = [], [], 0
        self.challenge = None        # in place of the one that `auth` means
        self.identity_token = None   # that is taken for a password
        self.referrers = referrers
        self.lock, self.numbers = threading.Lock(), itertools.count()
        registry = self

        class Handler(RequestHandler):
            owner = registry

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.scheme = "https" if tls else "http"
        self.host = f"{address}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def fail(self, method, text, act, times=1):
        """The next so many requests of that method whose URL has that text are answered so."""
        self.faults += [(method, text, act)] * times

    def put_image(self, answers, name):
        """What archives.registry_image makes."""
        for path, (_, headers, body) in answers.items():
            if "/blobs/" in path:
                self.put_blob(name, body)
            elif "/manifests/" in path:
                for reference in (path.rsplit("/", 1)[1], "sha256:" + sha(body)):
                    self.manifests[name, reference] = (headers["Content-Type"], body)

    def put_blob(self, name, data):
        digest = "sha256:" + sha(data)
        self.blobs[digest] = data
        self.places.add((name, digest))

    def asked(self, *methods):
        """What was asked, in order, without what differs from run to run."""
        return [f"{method} {urllib.parse.unquote(url)}" for method, url, _ in self.log if not methods or method in methods]

    def forget(self):
        self.log, self.received = [], 0


class RequestHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner = None

    def log_message(self, *_):
        pass

    def handle_any(self):
        self.url = urllib.parse.urlsplit(self.path)
        self.query = urllib.parse.parse_qs(self.url.query)
        self.unread = int(self.headers.get("Content-Length") or 0)
        self.stop_after, self.lies, self.upload = None, None, None
        with self.owner.lock:
            self.owner.log.append((self.command, self.path, dict(self.headers)))
            fault = next((each for each in self.owner.faults if each[0] == self.command and each[1] in self.path), None)
            if fault:
                self.owner.faults.remove(fault)
        try:
            fault[2](self) if fault else self.route()
            self.body()
        except (ConnectionError, BrokenPipeError):   # the client was killed, or had enough
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def body(self):
        data = self.rfile.read(self.unread)
        self.unread -= len(data)
        with self.owner.lock:
            self.owner.received += len(data)
        return data

    def keep(self, data):
        """What has come of an upload that breaks off."""
        self.unread -= len(data)
        with self.owner.lock:
            self.owner.received += len(data)
        number = self.url.path.rsplit("/", 1)[1]
        self.owner.uploads[number] += data

    def abort(self):
        self.close_connection, self.unread = True, 0
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def reply(self, status, headers=None, body=b""):
        headers = dict(headers or {})
        if self.lies:
            headers |= self.lies[0]
            body = body if self.lies[1] is None else self.lies[1]
        self.send_response(status)
        for name, value in headers.items():
            for each in value if isinstance(value, list) else [value]:
                self.send_header(name, each)
        if status != 204:
            self.send_header("Content-Length", headers.get("X-Length") or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:self.stop_after])
        self.wfile.flush()

    def refuse(self, status, code, message="no", headers=None):
        self.body()
        self.reply(status, headers, json.dumps({"errors": [{"code": code, "message": message}]}).encode())

    # --- who may

    def who(self):
        kind, _, word = (self.headers.get("Authorization") or "").partition(" ")
        if kind == "Basic":
            user, _, password = base64.b64decode(word).decode().partition(":")
            return user if self.owner.passwords.get(user) == password else None
        return None

    def may(self, name, action):
        if not self.owner.auth:
            return True
        if self.owner.auth == "basic":
            return self.who() is not None
        kind, _, word = (self.headers.get("Authorization") or "").partition(" ")
        if kind != "Bearer" or not word.startswith("t."):
            return False
        scopes = json.loads(base64.urlsafe_b64decode(word.split(".")[2]))
        return name is None or action in scopes.get(name, [])

    def challenge(self):
        if self.owner.challenge:
            return self.owner.challenge
        if self.owner.auth == "basic":
            return 'Basic realm="a registry"'
        return f'Bearer realm="{self.owner.scheme}://{self.owner.host}/token",service="a, b"'

    def give_token(self):
        form = urllib.parse.parse_qs(self.body().decode()) if self.command == "POST" else self.query
        known = self.who() is not None
        if self.command == "POST":
            known = form.get("refresh_token") == [self.owner.identity_token]
        if (self.headers.get("Authorization") or self.command == "POST") and not known:
            return self.refuse(401, "UNAUTHORIZED", "incorrect username or password")
        given = {}
        for scope in " ".join(form.get("scope", [])).split():
            _, name, actions = scope.split(":")
            given[name] = [each for each in actions.split(",") if known or (each == "pull" and name in self.owner.public)]
        token = f"t.{next(self.owner.numbers)}." + base64.urlsafe_b64encode(json.dumps(given).encode()).decode()
        self.reply(200, {}, json.dumps({"token": token, "expires_in": 300}).encode())

    # --- what is asked

    def route(self):
        path = self.url.path
        if path == "/token":
            return self.give_token()
        name, kind, rest = None, None, None
        for kind in ("/manifests/", "/blobs/uploads/", "/blobs/", "/referrers/", "/tags/", ""):
            if kind and kind in path:
                name, rest = path.removeprefix("/v2/").split(kind, 1)
                break
        if not self.may(name, "pull" if self.command in ("GET", "HEAD") and kind != "/blobs/uploads/" else "push"):
            return self.refuse(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": self.challenge()})
        if kind == "/manifests/":
            return self.manifest(name, rest)
        if kind == "/blobs/uploads/":
            return self.uploading(name, rest)
        if kind == "/blobs/":
            return self.blob(name, rest)
        if kind == "/tags/":
            return self.tags(name)
        if kind == "/referrers/":
            return self.list_referrers(name, rest) if self.owner.referrers else self.reply(404, {"Content-Type": "text/plain"}, b"404 page not found")
        self.reply(200, {}, b"{}")

    def list_referrers(self, name, subject):
        """In pages, and without a filter, which a registry need not have."""
        found = {}
        for (repository, _), (media_type, text) in self.owner.manifests.items():
            document = json.loads(text)
            if repository == name and document.get("subject", {}).get("digest") == subject:
                found["sha256:" + sha(text)] = {
                    "mediaType": media_type, "digest": "sha256:" + sha(text), "size": len(text), "annotations": document.get("annotations", {}),
                    "artifactType": document.get("artifactType") or document.get("config", {}).get("mediaType")}
        begin = int(self.query.get("last", ["0"])[0])
        end = begin + self.owner.referrers
        more = {"Link": f'</v2/{name}/referrers/{subject}?last={end}>; rel="next"'} if end < len(found) else {}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [found[digest] for digest in sorted(found)[begin:end]]}
        self.reply(200, {"Content-Type": INDEX} | more, json.dumps(index).encode())

    def manifest(self, name, reference):
        if self.command == "PUT":
            data = self.body()
            document = json.loads(data)
            for blob in [document["config"], *document["layers"]] if "config" in document else []:
                is_elsewhere = blob.get("urls") and "foreign" in blob["mediaType"]
                if (name, blob["digest"]) not in self.owner.places and not is_elsewhere:
                    return self.refuse(404, "MANIFEST_BLOB_UNKNOWN", blob["digest"])
            for child in document.get("manifests", []):
                if (name, child["digest"]) not in self.owner.manifests:
                    return self.refuse(404, "MANIFEST_UNKNOWN", child["digest"])
            digest = "sha256:" + sha(data)
            for each in (reference, digest):
                self.owner.manifests[name, each] = (self.headers["Content-Type"], data)
            subject = document.get("subject", {}).get("digest")
            return self.reply(201, {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
                              | ({"OCI-Subject": subject} if subject and self.owner.referrers else {}))
        found = self.owner.manifests.get((name, reference))
        if not found:
            return self.refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
        self.reply(200, {"Content-Type": found[0], "Docker-Content-Digest": "sha256:" + sha(found[1])}, found[1])

    def tags(self, name):
        """Two on a page, as another client would be shown them."""
        tags = sorted(tag for owner, tag in self.owner.manifests if owner == name and ":" not in tag)
        begin = int(self.query.get("from", ["0"])[0])
        more = {"Link": f'</v2/{name}/tags/list?from={begin + 2}>; rel="next"'} if begin + 2 < len(tags) else {}
        self.reply(200, more, json.dumps({"name": name, "tags": tags[begin:begin + 2] or None}).encode())

    def blob(self, name, digest):
        if (name, digest) not in self.owner.places:
            return self.refuse(404, "BLOB_UNKNOWN", "blob unknown")
        data = self.owner.blobs[digest]
        asked = self.headers.get("Range")
        if not asked:
            return self.reply(200, {}, data)
        begin = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.reply(206, {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"}, data[begin:])

    def uploading(self, name, number):
        uploads = self.owner.uploads
        if self.command == "POST":
            digest, source = self.query.get("mount", [None])[0], self.query.get("from", [None])[0]
            if digest and (source, digest) in self.owner.places and self.may(source, "pull"):
                self.owner.places.add((name, digest))
                return self.reply(201, {"Location": f"/v2/{name}/blobs/{digest}"})
            number = str(next(self.owner.numbers))
            uploads[number] = bytearray()
            return self.reply(202, {"Location": f"/v2/{name}/blobs/uploads/{number}?state=secret"})
        if number not in uploads:
            return self.refuse(404, "BLOB_UPLOAD_UNKNOWN")
        if self.command == "DELETE":
            del uploads[number]
            return self.reply(204)
        where = {"Location": f"/v2/{name}/blobs/uploads/{number}?state=secret"}
        if self.command == "GET":
            return self.reply(204, where | {"Range": f"0-{max(len(uploads[number]) - 1, 0)}"})
        begin = (self.headers.get("Content-Range") or f"{len(uploads[number])}-").split("-")[0]
        if int(begin) != len(uploads[number]):
            return self.refuse(416, "BLOB_UPLOAD_INVALID")
        uploads[number] += self.body()
        if self.command == "PATCH":
            return self.reply(202, where | {"Range": f"0-{len(uploads[number]) - 1}"})
        data = bytes(uploads.pop(number))
        if self.query["digest"] != ["sha256:" + sha(data)]:
            return self.refuse(400, "DIGEST_INVALID", "another digest")
        self.owner.put_blob(name, data)
        self.reply(201, {"Location": f"/v2/{name}/blobs/sha256:{sha(data)}"})
