"""Image archives and layers made by hand: those that no tool here writes, and those that nobody should."""
import gzip
import hashlib
import http.server
import io
import json
import pathlib
import tarfile
import threading

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def tar_of(entries):
    """A tar of {name: bytes}; a text is the target of a symlink, None a directory, a TarInfo itself."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in entries.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
            elif data is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(data, bytes):
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    return out.getvalue()


def sha(data):
    return hashlib.sha256(data).hexdigest()


LAYER = tar_of({"hello": b"world\n"})


def config_of(*layers, **config):
    return json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/hello"], **config},
                       "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha(layer) for layer in layers]}}).encode()


def docker_archive(stored=LAYER, names=("hello:stable",)):
    manifest = [{"Config": "config.json", "RepoTags": list(names), "Layers": ["one/layer.tar"]}]
    return tar_of({"one/layer.tar": stored, "config.json": config_of(LAYER), "manifest.json": json.dumps(manifest).encode()})


def layered_archive(images):
    """A docker-archive of {name: [layer, …]}, each layer a tar."""
    files, items = {}, []
    for name, layers in images.items():
        config = config_of(*layers)
        files[sha(config) + ".json"] = config
        for layer in layers:
            files[sha(layer) + "/layer.tar"] = layer
        items.append({"Config": sha(config) + ".json", "RepoTags": [name], "Layers": [sha(layer) + "/layer.tar" for layer in layers]})
    return tar_of({**files, "manifest.json": json.dumps(items).encode()})


def files_of(directory):
    """Every file of a store but its locks and what it tells of the past, with its size."""
    return sorted((str(path.relative_to(directory)), path.stat().st_size)
                  for path in pathlib.Path(directory).rglob("*")
                  if path.is_file() and not path.is_symlink() and not path.name.startswith("engine.db") and path.name not in ("lock", ".lock") and path.parent.name != "locks")


class FakeRegistry:
    """Answers by a table of {path: (status, headers, body)}; notes every request. Over TLS with that context.
    A fourth word of an answer is how many bytes of the body are sent before the line breaks."""

    def __init__(self, answers, tls=None):
        self.answers, self.requests = answers, []
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                fake.requests.append((self.path, self.headers.get("Authorization")))
                answer = fake.answers.get(self.path.split("?")[0], (404, {}, b"<html>nothing here</html>"))
                if callable(answer):
                    answer = answer(self)
                status, headers, body, *sent = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body[:sent[0]] if sent else body)
                except ConnectionError:  # the client was killed, or had enough
                    pass

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def registry_image(name, tag, layers, config=None, /, **changes):
    """Answers of a registry (for FakeRegistry) with one image of gzip layers, and its manifest."""
    config = config or config_of(*layers)
    stored = [gzip.compress(layer, 1) for layer in layers]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + sha(config), "size": len(config)},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:" + sha(blob), "size": len(blob)}
                           for blob in stored]}
    manifest = json.dumps(manifest | changes).encode()
    answers = {"/v2/": (200, {}, b"{}"), f"/v2/{name}/manifests/{tag}": (200, {"Content-Type": MANIFEST}, manifest)}
    for blob in [config, *stored]:
        answers[f"/v2/{name}/blobs/sha256:{sha(blob)}"] = (200, {}, blob)
    return answers, manifest
