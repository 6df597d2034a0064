// Two trees that mean the same need not be the same. What hides a lower layer has more than one
// form on disk, so whiteouts are not looked at, and of the attributes only those that a layer can
// bring. Directories to come are kept in a list: depth costs no descriptors and no stack.
#include "image/compare.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/directory.h"
#include "base/error.h"
#include "base/sys.h"
#include "image/work.h"

namespace {

bool counts(const std::string& path) {
    const struct stat info = sys::lstat(path);
    return !S_ISSOCK(info.st_mode) &&
           !(S_ISCHR(info.st_mode) && info.st_rdev == 0);  // the latter is overlayfs's whiteout
}

std::vector<std::string> counting_names_in(const std::string& directory) {
    std::vector<std::string> names = names_in_if_exists(directory);
    std::erase_if(names, [&](const std::string& name) { return !counts(directory + "/" + name); });
    return names;
}

std::string target_of(const std::string& path) {
    std::string target(4096, '\0');
    const ssize_t length =
        check(::readlink(path.c_str(), target.data(), target.size()), "readlink");
    return target.substr(0, size_t(length));
}

std::vector<std::string> attributes_of(const std::string& path) {
    char names[65536], value[65536];
    const ssize_t length = ::llistxattr(path.c_str(), names, sizeof names);
    std::vector<std::string> all;
    for (const char* name = names; length > 0 && name < names + length;
         name += std::string_view(name).size() + 1) {
        const std::string_view key = name;
        if (key != "security.capability" && !key.starts_with("user.") &&
            !key.starts_with("system.posix_acl_"))
            continue;
        const ssize_t size = ::lgetxattr(path.c_str(), name, value, sizeof value);
        all.push_back(str(key, "=", std::string_view(value, size < 0 ? 0 : size_t(size))));
    }
    std::ranges::sort(all);
    return all;
}

bool same_content(const std::string& a, const std::string& b) {
    const UniqueFd one = sys::open(a, O_RDONLY | O_NOFOLLOW),
                   other = sys::open(b, O_RDONLY | O_NOFOLLOW);
    std::string left(size_t(1) << 16, '\0'), right = left;
    for (;;) {
        const ssize_t n = check(::read(one.get(), left.data(), left.size()), "read ", a);
        const ssize_t m = check(::read(other.get(), right.data(), right.size()), "read ", b);
        if (n != m || std::string_view(left).substr(0, size_t(n)) !=
                          std::string_view(right).substr(0, size_t(m)))
            return false;
        if (n == 0) return true;
    }
}

// "" or what is different.
std::string differs(const std::string& is, const std::string& should_be) {
    const struct stat a = sys::lstat(is), b = sys::lstat(should_be);
    if ((a.st_mode & S_IFMT) != (b.st_mode & S_IFMT)) return "is of another kind";
    if (!S_ISLNK(a.st_mode) && a.st_mode != b.st_mode) return "has another mode";
    if (a.st_uid != b.st_uid || a.st_gid != b.st_gid) return "has another owner";
    if ((S_ISCHR(a.st_mode) || S_ISBLK(a.st_mode)) && a.st_rdev != b.st_rdev)
        return "is another device";
    if (S_ISLNK(a.st_mode) && target_of(is) != target_of(should_be)) return "leads elsewhere";
    if (S_ISREG(a.st_mode) && (a.st_size != b.st_size || !same_content(is, should_be)))
        return "has another content";
    return attributes_of(is) == attributes_of(should_be) ? "" : "has other attributes";
}

}  // namespace

std::string first_difference(const std::string& is, const std::string& should_be) {
    std::vector<std::string> ahead{""};  // directories, relative
    while (!ahead.empty()) {
        const std::string here = std::move(ahead.back());
        ahead.pop_back();
        const std::vector<std::string> names = counting_names_in(is + here),
                                       wanted = counting_names_in(should_be + here);
        std::vector<std::string> only;
        std::ranges::set_difference(wanted, names, std::back_inserter(only));
        if (!only.empty()) return str(quoted(here + "/" + only[0]), " is missing");
        std::ranges::set_difference(names, wanted, std::back_inserter(only));
        if (!only.empty()) return str(quoted(here + "/" + only[0]), " does not belong there");
        for (const std::string& name : names) {
            const std::string path = here + "/" + name;
            if (const std::string what = differs(is + path, should_be + path); !what.empty())
                return str(quoted(path), " ", what);
            if (S_ISDIR(sys::lstat(is + path).st_mode)) ahead.push_back(path);
        }
    }
    return "";
}
