"""The file system that an image's layers make, read from its blobs alone: {path: entry}.

Entries look as in the corpus's records: t (kind), m (mode), u and g (owner), s (size), h (the content's digest), l (a
link's target), x (xattrs). Nothing of keg unpacks anything here: what is compared is what any other reader finds.
"""
import gzip
import hashlib
import io
import json
import pathlib
import posixpath
import subprocess
import tarfile

KINDS = {tarfile.REGTYPE: "f", tarfile.AREGTYPE: "f", tarfile.CONTTYPE: "f", tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l",
         tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b", tarfile.FIFOTYPE: "p"}
XATTR = "SCHILY.xattr."


class Layout:
    """An OCI layout, such as keg's store is one."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def blob(self, digest):
        return self.path / "blobs" / digest.replace(":", "/")

    def document(self, digest):
        return json.loads(self.blob(digest).read_text())

    def image(self, name):
        """(manifest, config) of what has that name."""
        index = json.loads((self.path / "index.json").read_text())
        found = next(entry for entry in index["manifests"]
                     if entry.get("annotations", {}).get("org.opencontainers.image.ref.name") == name)
        manifest = self.document(found["digest"])
        return manifest, self.document(manifest["config"]["digest"])


def inflated(path, media_type):
    if media_type.endswith("gzip"):
        return gzip.open(path)
    if media_type.endswith("zstd"):
        return io.BytesIO(subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE).stdout)
    return open(path, "rb")


def entry_of(member, archive):
    entry = {"t": KINDS[member.type], "m": oct(member.mode & 0o7777), "u": member.uid, "g": member.gid}
    if entry["t"] == "l":
        entry["l"] = member.linkname
    if entry["t"] == "f":
        data = archive.extractfile(member).read()
        entry |= {"s": len(data), "h": hashlib.sha256(data).hexdigest()[:16]}
    if entry["t"] in "cb":
        entry["dev"] = [member.devmajor, member.devminor]
    xattrs = {key.removeprefix(XATTR): value for key, value in member.pax_headers.items() if key.startswith(XATTR)}
    if xattrs:
        entry["x"] = xattrs
    return entry


def remove(tree, path, itself=True):
    for name in [name for name in tree if name.startswith(path.rstrip("/") + "/") or (itself and name == path)]:
        del tree[name]


def apply(tree, layer):
    """Puts an open layer's tar on top of the tree, by image-spec's rules."""
    below = dict(tree)
    with tarfile.open(fileobj=layer, mode="r|") as archive:
        for member in archive:
            path = posixpath.normpath("/" + member.name)
            directory, name = posixpath.split(path)
            if name == ".wh..wh..opq":
                for gone in [each for each in below if each.startswith(directory.rstrip("/") + "/")]:
                    if tree.get(gone) is below[gone]:
                        del tree[gone]
            elif name.startswith(".wh."):
                remove(tree, posixpath.join(directory, name[4:]))
            elif member.islnk():
                tree[path] = tree[posixpath.normpath("/" + member.linkname)]
            else:
                entry = entry_of(member, archive)
                if entry["t"] != "d" or tree.get(path, entry)["t"] != "d":
                    remove(tree, path)
                tree[path] = entry
    return tree


class Trees:
    """Trees of stacks of layers; those of base images are read once."""

    def __init__(self, layout):
        self.layout, self.kept = layout, {}

    def of(self, layers, keep=False):
        """The tree of those descriptors, which nobody may change."""
        key = tuple(layer["digest"] for layer in layers)
        if key in self.kept:
            return self.kept[key]
        if not layers:
            return {}
        below = dict(self.of(layers[:-1]))
        with inflated(self.layout.blob(key[-1]), layers[-1]["mediaType"]) as layer:
            tree = apply(below, layer)
        if keep:
            self.kept[key] = tree
        return tree
