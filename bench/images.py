"""An image of this machine's files, and contests on it: what bench/image and bench/registry share.

Each contestant has a file system of its own for each round, newly made on a loop device: on one that was used, removed
files make new ones slow. Their turns alternate.
"""
import contextlib
import hashlib
import io
import json
import os
import pathlib
import statistics
import subprocess
import tarfile
import time

from harness import call

WORK = pathlib.Path("/var/tmp/keg-bench-image")
MOUNT = WORK / "mount"
NAME = "bench.example/image:1"
DIRECTORIES = ["/usr/include", "/usr/lib/gcc", "/usr/lib/python3", "/usr/share/doc", "/usr/share/locale", "/usr/bin"]


# --- the image

def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def descriptor(kind, data):
    return {"mediaType": kind, "digest": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data)}


def make_layers(directories):
    root = WORK / "root"
    for name in ("proc", "sys", "dev", "etc", "bin"):
        (root / name).mkdir(parents=True)
    (WORK / "true.c").write_text("int main(void) { return 0; }\n")
    call("gcc", "-O2", "-static", "-o", root / "true", WORK / "true.c")
    layers = [WORK / "base.tar"]
    call("tar", "-C", root, "-cf", layers[0], ".")
    for i, path in enumerate(directories):
        layers.append(WORK / f"{i}.tar")
        call("tar", "-C", "/", "--sort=name", "-cf", layers[-1], path.lstrip("/"), stderr=subprocess.DEVNULL)
    for layer in layers:
        call("gzip", "-k", "-n", layer)
    return layers


def make_archives(layers):
    digests = [digest(layer) for layer in layers]
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/true"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + one for one in digests]}}).encode()
    with tarfile.open(WORK / "plain.tar", "w") as tar:
        for layer, one in zip(layers, digests):
            tar.add(layer, f"{one}/layer.tar")
        add(tar, "config.json", config)
        add(tar, "manifest.json", json.dumps([{"Config": "config.json", "RepoTags": [NAME],
                                               "Layers": [one + "/layer.tar" for one in digests]}]).encode())
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": descriptor("application/vnd.oci.image.config.v1+json", config), "layers": []}
    with tarfile.open(WORK / "gzip.tar", "w") as tar:
        for layer in layers:
            packed = f"{layer}.gz"
            tar.add(packed, "blobs/sha256/" + digest(packed))
            manifest["layers"].append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                                       "digest": "sha256:" + digest(packed), "size": os.path.getsize(packed)})
        document = json.dumps(manifest).encode()
        top = descriptor(manifest["mediaType"], document) | {"annotations": {"org.opencontainers.image.ref.name": NAME,
                                                                             "io.containerd.image.name": NAME}}
        for data in (config, document):
            add(tar, "blobs/sha256/" + hashlib.sha256(data).hexdigest(), data)
        add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [top]}).encode())


# --- taking turns

@contextlib.contextmanager
def new_file_system():
    image = WORK / "file-system"
    with open(image, "wb") as file:
        file.truncate(8 << 30)
    call("mkfs.ext4", "-q", "-F", image)
    call("mount", "-o", "loop", image, MOUNT)
    call("sync")    # what was written before this turn is none of its
    try:
        yield
    finally:
        call("umount", MOUNT)
        image.unlink()


def seconds(*commands):
    began = time.perf_counter()
    for command in commands:
        call(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def tell(title, times, base):
    medians = {name: statistics.median(values) for name, values in times.items() if values}
    print(f"\n{title}\n  {'':18}{'median s':>10}{'min s':>9}   ratio of medians to {base}")
    for name, median in medians.items():
        print(f"  {name:18}{median:10.3f}{min(times[name]):9.3f}   {median / medians[base]:.2f}", flush=True)


class Contest:
    def __init__(self, title, base):
        self.title, self.base, self.times = title, base, {}

    def add(self, name, took):
        self.times.setdefault(name, []).append(took)

    def tell(self):
        if self.base in self.times:
            tell(self.title, self.times, self.base)
