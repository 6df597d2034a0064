// What is hard here: a mark counts whatever the entry that bears it is otherwise, AUFS's own files
// begin as whiteouts do, and may be directories with something in them.
#include "image/layer/rules.h"

#include <algorithm>

#include "base/error.h"

namespace {

constexpr std::string_view whiteout_prefix = ".wh.";
constexpr std::string_view opaque_marker = ".wh..wh..opq";
// Of AUFS's own files, which old images still hold.
constexpr std::string_view aufs_prefix = ".wh..wh.";
// Of the kernel: its device numbers, and its owners (the one above means "as it was").
constexpr unsigned largest_major = 0xfff, largest_minor = 0xfffff;
constexpr int64_t largest_owner = 0xfffffffe;

bool is_aufs_own(std::string_view path) {
    for (size_t at = 0; (at = path.find(aufs_prefix, at)) != std::string_view::npos; ++at) {
        if (at != 0 && path[at - 1] != '/') continue;
        if (path.substr(at, path.find('/', at) - at) != opaque_marker) return true;
    }
    return false;
}

}  // namespace

std::string clean_path(std::string_view name) {
    std::string clean;
    clean.reserve(name.size());
    while (!name.empty()) {
        const std::string_view part = name.substr(0, name.find('/'));
        name.remove_prefix(std::min(part.size() + 1, name.size()));
        if (part.empty() || part == ".") continue;
        if (part == "..") {
            const size_t slash = clean.rfind('/');
            clean.resize(slash == std::string::npos ? 0 : slash);
            continue;
        }
        if (part.size() > longest_name)
            throw Error("name of more than 255 bytes: ", quoted(part.substr(0, 40)), "…");
        if (!clean.empty()) clean += '/';
        clean += part;
    }
    return clean;
}

bool climbs_out(std::string_view name) {
    size_t depth = 0;
    while (!name.empty()) {
        const std::string_view part = name.substr(0, name.find('/'));
        name.remove_prefix(std::min(part.size() + 1, name.size()));
        if (part.empty() || part == ".") continue;
        if (part == ".." && depth == 0) return true;
        depth += part == ".." ? size_t(-1) : 1;
    }
    return false;
}

SplitPath split_parent(std::string_view path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return {"", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

Mark mark_of(std::string_view path) {
    if (path.find(whiteout_prefix) == std::string_view::npos) return {};
    if (is_aufs_own(path)) return {Mark::Kind::aufs};
    const std::string_view name = split_parent(path).name;
    if (name == opaque_marker) return {Mark::Kind::opaque};
    if (!name.starts_with(whiteout_prefix)) return {};
    const std::string_view hidden = name.substr(whiteout_prefix.size());
    if (hidden.empty() || hidden == "." || hidden == "..")
        throw Error("whiteout ", quoted(name), " names no file");
    return {Mark::Kind::whiteout, hidden};
}

bool is_foreign_xattr(std::string_view name) {
    return name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.") ||
           name == "security.selinux" || name == "system.nfs4_acl";
}

bool is_of_layers(std::string_view name) {
    return name == "security.capability" || name.starts_with("user.") ||
           name.starts_with("system.posix_acl_");
}

void check_owner(const TarEntry& entry) {
    if (entry.uid < 0 || entry.uid > largest_owner || entry.gid < 0 || entry.gid > largest_owner)
        throw Error("owner ", entry.uid, ":", entry.gid, " is out of range");
}

void check_device(const TarEntry& entry) {
    if (entry.device_major > largest_major || entry.device_minor > largest_minor)
        throw Error("device number ", entry.device_major, ":", entry.device_minor,
                    " is out of range");
    // It is overlayfs's own whiteout.
    if (entry.type == TarEntry::Type::character_device && entry.device_major == 0 &&
        entry.device_minor == 0)
        throw Error("a character device 0:0 cannot be part of a layer");
}
