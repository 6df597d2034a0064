// What is hard: an archive is a stranger's, and the image's links say where its files come. Both
// are apply_layer()'s business (image/layer/apply.h), which follows links inside the root alone;
// what is copied beside the archives goes the same way, as a layer of its own.
#include "builder/steps/add.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/sys.h"
#include "image/layer/apply.h"
#include "image/layer/rules.h"

namespace {

constexpr size_t copied_at_once = size_t(1) << 20;

// Whether it begins as a tar or a compressed file does.
bool is_archive(int file) {
    char start[265] = {};
    const ssize_t n = ::pread(file, start, sizeof start, 0);
    const std::string_view magic(start, n > 0 ? size_t(n) : 0);
    constexpr std::string_view xz("\xfd"
                                  "7zXZ\0",
                                  6);
    return magic.starts_with("\x1f\x8b") || magic.starts_with("BZh") || magic.starts_with(xz) ||
           magic.starts_with("\x28\xb5\x2f\xfd") ||
           (magic.size() > 262 && magic.substr(257, 5) == "ustar");
}

bool is_unpacked(const SourceTree& tree, const CopyFiles& copy, const Pick& pick) {
    if (copy.unpack == CopyFiles::Unpack::never || !pick.is_named || !S_ISREG(pick.info.st_mode))
        return false;
    return is_archive(open_picked(tree, pick).get());
}

UniqueFd temporary_file(const std::string& directory) {
    return sys::open(directory, O_TMPFILE | O_RDWR, 0600);
}

// A copy to unpack from, hashed as it is made.
UniqueFd private_copy(const SourceTree& tree, Pick& pick, const std::string& scratch) {
    const UniqueFd from = open_picked(tree, pick);
    UniqueFd to = temporary_file(scratch);
    Hasher hasher;
    std::string buffer(copied_at_once, '\0');
    for (ssize_t n; (n = ::read(from.get(), buffer.data(), buffer.size())) != 0;) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw SysError("read ", quoted(pick.source));
        const std::string_view piece(buffer.data(), size_t(n));
        hasher.update(piece);
        sys::write_all(to.get(), piece);
    }
    pick.digest = FileDigests::bytes_of(hasher.finish());
    check(::lseek(to.get(), 0, SEEK_SET), "seek");
    return to;
}

// Every missing level of the way, with the owner if one was asked for.
UniqueFd make_directories(const Root& root, const std::string& path, const CopyLooks& looks) {
    if (!looks.owns_parents || !looks.owner) return root.make_directories(path);
    std::string level;
    for (const std::string& part : split(path, '/')) {
        level += "/" + part;
        if (part.empty() || root.open_if_exists(level, O_PATH)) continue;
        const UniqueFd made = root.make_directories(level);
        check(::fchownat(made.get(), "", looks.owner->uid, looks.owner->gid, AT_EMPTY_PATH),
              "chown ", level);
    }
    return root.make_directories(path);
}

void copy_plain(const SourceTree& tree, std::vector<Pick>& picks, const CopyFiles& copy,
                const CopyLooks& looks, FileTree& below, const Root& root,
                const std::string& scratch) {
    const UniqueFd layer = temporary_file(scratch);
    PlacedCopy(picks, copy, looks, below).write(tree, [&](std::string_view piece) {
        sys::write_all(layer.get(), piece);
    });
    check(::lseek(layer.get(), 0, SEEK_SET), "seek");
    apply_layer(layer.get(), sys::proc_fd(root.fd()), {.whiteouts = false});
}

}  // namespace

bool has_archives(const SourceTree& tree, const CopyFiles& copy, const std::vector<Pick>& picks) {
    return std::ranges::any_of(picks,
                               [&](const Pick& pick) { return is_unpacked(tree, copy, pick); });
}

void add_unpacked(const SourceTree& tree, std::vector<Pick>& picks, const CopyFiles& copy,
                  const CopyLooks& looks, FileTree& below, const Root& root,
                  const std::string& scratch) {
    std::vector<Pick> plain;
    for (Pick& pick : picks) {
        if (!is_unpacked(tree, copy, pick)) {
            plain.push_back(pick);
            continue;
        }
        const UniqueFd archive = private_copy(tree, pick, scratch);
        const UniqueFd to = make_directories(root, clean_path(copy.destination), looks);
        ApplyOptions as{.whiteouts = false};  // a tar like any other
        if (looks.owns_parents && looks.owner) as.owner = {looks.owner->uid, looks.owner->gid};
        apply_layer(archive.get(), sys::proc_fd(to.get()), as);
    }
    if (!plain.empty() || !copy.files.empty())
        copy_plain(tree, plain, copy, looks, below, root, scratch);
}
