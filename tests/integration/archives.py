"""Image archives and layers made by hand: those that no tool here writes, and those that nobody should."""
import hashlib
import io
import json
import pathlib
import tarfile


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
    """Every file of a store but its locks, with its size."""
    return sorted((str(path.relative_to(directory)), path.stat().st_size)
                  for path in pathlib.Path(directory).rglob("*")
                  if path.is_file() and not path.is_symlink() and path.name != "lock" and path.parent.name != "locks")
