"""Images from Debian's busybox-static, so that no test needs a network."""
import hashlib
import io
import json
import pathlib
import subprocess
import tarfile

BUSYBOX = "docker.io/library/busybox:latest"
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var/www:/bin/sh\n",
    "etc/group": "root:x:0:\nwww:x:33:\nextra:x:44:www\n",
    "var/www/index.html": "hello from the container\n",
}


def tar_of(files, links=(), directories=()):
    """Bytes of a tar: files is {name: bytes or text}; what lies in bin/ can be executed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in directories:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        for name, data in files.items():
            data = data.encode() if isinstance(data, str) else data
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755 if name.startswith("bin/") else 0o644
            tar.addfile(entry, io.BytesIO(data))
        for name, target in links:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(entry)
    return buffer.getvalue()


def root_file_system():
    busybox = pathlib.Path("/bin/busybox").read_bytes()
    applets = set(subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split())
    directories = ["bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "var", "var/www"]
    links = [(f"bin/{applet}", "busybox") for applet in sorted(applets - {"busybox"})]
    return tar_of({**FILES, "bin/busybox": busybox}, links, directories)


def archive(path, name=BUSYBOX, command=("sh",), **config):
    """An archive that is both an OCI layout (containerd, podman, skopeo) and what `docker load` takes."""
    layer = root_file_system()
    digest = hashlib.sha256(layer).hexdigest()
    image = {"architecture": "amd64", "os": "linux",
             "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": list(command), "WorkingDir": "/", **config},
             "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
             "history": [{"created_by": "busybox-static"}]}
    files = {}

    def blob(data, kind):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        digest = hashlib.sha256(data).hexdigest()
        files[f"blobs/sha256/{digest}"] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    layer, image = blob(layer, "layer.v1.tar"), blob(image, "config.v1+json")
    manifest = blob({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                     "config": image, "layers": [layer]}, "manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": name.rpartition(":")[2], "io.containerd.image.name": name}
    files["oci-layout"] = '{"imageLayoutVersion":"1.0.0"}'
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [manifest]})
    in_archive = lambda descriptor: "blobs/" + descriptor["digest"].replace(":", "/")
    files["manifest.json"] = json.dumps([{"Config": in_archive(image), "RepoTags": [name], "Layers": [in_archive(layer)]}])
    pathlib.Path(path).write_bytes(tar_of(files))
    return path
