// What is hard: ".." is of the path that was reached, not of the one that was typed; so a path is
// gone through name by name, and what a link says comes before what was left.
#include "builder/steps/paths.h"

#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/text.h"

static constexpr int most_links = 40;  // as the kernel

std::string path_below(const std::string& directory, std::string_view name) {
    if (directory.empty() || name.empty()) return directory + std::string(name);
    return str(directory, "/", name);
}

std::string parent_path(const std::string& path) {
    const size_t slash = path.find_last_of('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string link_target(int link, std::string_view shown) {
    char target[PATH_MAX];
    const ssize_t length = ::readlinkat(link, "", target, sizeof target);
    if (length < 0) throw SysError("readlink ", quoted(shown));
    return {target, size_t(length)};
}

std::string follow_path(const std::string& path, const LinkAt& link_at) {
    std::vector<std::string> ahead = split(path, '/');
    std::ranges::reverse(ahead);
    std::string at;
    for (int links = 0; !ahead.empty();) {
        const std::string name = std::move(ahead.back());
        ahead.pop_back();
        if (name.empty() || name == ".") continue;
        if (name == "..") {
            at = parent_path(at);
            continue;
        }
        const std::string next = path_below(at, name);
        const auto target = link_at(next, ahead.empty());
        if (!target) {
            at = next;
            continue;
        }
        if (++links > most_links) throw SysError(ELOOP, quoted(path));
        if (target->starts_with('/')) at.clear();
        const std::vector<std::string> parts = split(*target, '/');
        ahead.insert(ahead.end(), parts.rbegin(), parts.rend());
    }
    return at;
}
