// What is hard: a file can be sealed only while nobody has it open for writing, and then by one who
// could write to it; a blob that is stored again is another file under the same name, without a
// seal. Which of two digests is measured depends on the size of the hashed blocks, too: so what is
// compared is what was measured, and not what is computed here.
#include "image/seals.h"

#include <linux/fsverity.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>

#include <algorithm>
#include <array>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"

namespace {

std::string note_of(const std::string& directory) { return directory + "/seals"; }

std::string last_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// "" of a file that is not sealed.
std::string measure(int fd) {
    constexpr size_t most = 64;  // SHA-512
    alignas(fsverity_digest) std::array<char, sizeof(fsverity_digest) + most> room{};
    auto* const digest = reinterpret_cast<fsverity_digest*>(room.data());
    digest->digest_size = most;
    if (::ioctl(fd, FS_IOC_MEASURE_VERITY, digest) < 0) {
        if (errno == ENODATA || errno == ENOTTY || errno == EOPNOTSUPP) return "";
        throw SysError("measure a sealed file");
    }
    return str(digest->digest_algorithm, ":",
               encode_base64({room.data() + sizeof *digest, digest->digest_size}));
}

}  // namespace

void enable_verity(const std::string& path) {
    const UniqueFd file = sys::open(path, O_RDONLY);
    struct statfs info{};
    check(::fstatfs(file.get(), &info), "statfs ", path);
    fsverity_enable_arg how{};
    how.version = 1;
    how.hash_algorithm = FS_VERITY_HASH_ALG_SHA256;
    how.block_size = std::min<uint32_t>(4096, uint32_t(info.f_bsize));  // never more than a block
    if (::ioctl(file.get(), FS_IOC_ENABLE_VERITY, &how) < 0 && errno != EEXIST)
        throw SysError("seal ", path, " by fs-verity");
    sys::fsync(file.get());
}

bool has_verity(const std::string& path) {
    struct statx info{};
    return ::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &info) == 0 &&
           (info.stx_attributes & STATX_ATTR_VERITY) != 0;
}

Seals Seals::read(const std::string& directory) {
    Seals seals;
    const auto note = read_file_if_exists(note_of(directory));
    for (const std::string& line : split(note.value_or(""), '\n'))
        if (const size_t blank = line.find(' '); blank != std::string::npos)
            seals.measured_[line.substr(0, blank)] = line.substr(blank + 1);
    return seals;
}

void Seals::write(const std::string& directory) const {
    std::string note;
    for (const auto& [name, measured] : measured_) note += str(name, " ", measured, "\n");
    if (!note.empty())
        replace_file(note_of(directory), note, 0600);
    else if (sys::exists(note_of(directory)))
        sys::unlink(note_of(directory));
}

void Seals::seal(const std::string& path) {
    attempt("guarding a layer", [&] {
        enable_verity(path);
        measured_[last_name(path)] = measure(sys::open(path, O_RDONLY).get());
    });
}

std::string Seals::fault(const std::string& path, int fd) const {
    const auto known = measured_.find(last_name(path));
    if (known == measured_.end()) return "";
    const std::string is = measure(fd);
    if (is == known->second) return "";
    return str("has the file ", quoted(path), ", which ",
               is.empty() ? "has lost its fs-verity" : "fs-verity says is another one");
}
