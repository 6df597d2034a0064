"""EROFS images made by hand: as keg's tests need them where there is no mkfs.erofs, and those that it does not make."""
import stat
import struct

BLOCK = 4096
PREFIXES = {"user.": 1, "trusted.": 4, "security.": 6}
KINDS = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFIFO: 5, stat.S_IFLNK: 7}


class Node:
    """A file: bytes, the target of a link, {name: Node} for a directory, or nothing for a device 0:0, a whiteout."""

    def __init__(self, content=b"", mode=None, uid=0, mtime=1_000_000_000, xattrs=None):
        kinds = {bytes: stat.S_IFREG | 0o644, str: stat.S_IFLNK | 0o777, dict: stat.S_IFDIR | 0o755, type(None): stat.S_IFCHR}
        self.content, self.mode = content, (stat.S_IFMT(kinds[type(content)]) | mode if mode is not None else kinds[type(content)])
        self.uid, self.mtime, self.xattrs = uid, mtime, xattrs or {}


WHITEOUT = Node(None)


def opaque(content):
    return Node(content, xattrs={"trusted.overlay.opaque": b"y"})


def attributes(xattrs):
    body = b""
    for name, value in sorted(xattrs.items()):
        prefix = next(prefix for prefix in PREFIXES if name.startswith(prefix))
        rest = name[len(prefix):].encode()
        entry = struct.pack("<BBH", len(rest), PREFIXES[prefix], len(value)) + rest + value
        body += entry + bytes(-len(entry) % 4)
    return struct.pack("<IB7x", 0, 0) + body if body else b""


def directory(entries):
    """Its blocks: entries in the order of their names, as many to a block as fit."""
    blocks, block, size = [], [], 0
    for entry in sorted(entries):
        if size + 12 + len(entry[0]) > BLOCK:
            blocks.append(block)
            block, size = [], 0
        block.append(entry)
        size += 12 + len(entry[0])
    out = b""
    for block in [*blocks, block]:
        out += bytes(-len(out) % BLOCK)
        at = 12 * len(block)
        for name, number, mode in block:
            out += struct.pack("<QHBx", number, at, KINDS[stat.S_IFMT(mode)])
            at += len(name)
        out += b"".join(name for name, *_ in block)
    return out


def image(content, super=None, **root):
    """The bytes of an image with this {name: Node} (or bytes, text, dict) for its root; `super` may change its superblock."""
    nodes, above = [], {}

    def collect(node, parent):
        node = node if isinstance(node, Node) else Node(node)
        if id(node) in above and node is not WHITEOUT:
            return node                          # another name of the same file
        nodes.append(node)
        above[id(node)] = parent or node
        if isinstance(node.content, dict):
            node.content = {name: collect(child, node) for name, child in node.content.items()}
        return node

    top = collect(Node(content, **root), None)
    nodes = list({id(node): node for node in nodes}.values())
    numbers, at = {}, 1152
    for node in nodes:
        numbers[id(node)] = at // 32
        at += (64 + len(attributes(node.xattrs)) + 31) // 32 * 32
    block = -(-at // BLOCK)
    links = {id(node): 0 for node in nodes}
    for node in nodes:
        if isinstance(node.content, dict):
            links[id(node)] += 2
            for child in node.content.values():
                links[id(node if isinstance(child.content, dict) else child)] += 1
    heads, data = b"", b""
    for number, node in enumerate(nodes):
        body = node.content
        if isinstance(body, dict):
            entries = [(name.encode(), numbers[id(child)], child.mode) for name, child in body.items()]
            body = directory([*entries, (b".", numbers[id(node)], node.mode), (b"..", numbers[id(above[id(node)])], stat.S_IFDIR)])
        elif isinstance(body, str):
            body = body.encode()
        extra = attributes(node.xattrs)
        words = 1 + (len(extra) - 12) // 4 if extra else 0
        heads += struct.pack("<HHHHQIIIIqII16x", 1, words, node.mode, 0, len(body or b""), block + len(data) // BLOCK if body else 0,
                             number + 1, node.uid, 0, node.mtime, 0, links[id(node)]) + extra
        heads += bytes(-len(heads) % 32)
        data += (body or b"") + bytes(-len(body or b"") % BLOCK)
    fields = {"magic": 0xe0f5e1e2, "compatible": 2, "bits": 12, "root": numbers[id(top)], "inodes": len(nodes), "blocks": block + len(data) // BLOCK,
              "incompatible": 0, "devices": 0, **(super or {})}
    head = struct.pack("<IIIBBHQqIIII16s16sIHHH38x", fields["magic"], 0, fields["compatible"], fields["bits"], 0, fields["root"], fields["inodes"], 0, 0,
                       fields["blocks"], 0, 0, b"keg's tests' own", b"", fields["incompatible"], 0, fields["devices"], 0)
    whole = bytes(1024) + head + heads
    return whole + bytes(-len(whole) % BLOCK) + data
