// What is hard: the tree is edited while it is read, or a stranger made it. A path is resolved
// within the root, and what is read later is opened anew and looked at by its descriptor; a listing
// only says what there is to open. An ignored directory must be looked into if a rule may bring
// something below it back.
#include "builder/steps/source_tree.h"

#include <fcntl.h>

#include <algorithm>

#include "base/directory.h"
#include "base/error.h"
#include "base/sys.h"
#include "base/text.h"
#include "image/layer/rules.h"

namespace {

std::string link_target(int link, const std::string& path) {
    char target[4096];
    const ssize_t length = ::readlinkat(link, "", target, sizeof target);
    if (length < 0) throw SysError("readlink ", quoted(path));
    return {target, size_t(length)};
}

}  // namespace

std::string path_below(const std::string& directory, std::string_view name) {
    if (directory.empty() || name.empty()) return directory + std::string(name);
    return str(directory, "/", name);
}

bool SourceTree::is_left_out(const std::string& path, mode_t mode) {
    if (!ignore_.ignores(path)) return false;
    return !ignore_.has_exceptions() || !S_ISDIR(mode) || list(path)->empty();
}

SourceTree::Listing SourceTree::list(const std::string& directory) {
    {
        const std::lock_guard one_thread(mutex_);
        const auto known = listings_.find(directory);
        if (known != listings_.end()) return known->second;
    }
    const UniqueFd fd = root_.open(directory.empty() ? "/" : directory, O_RDONLY | O_DIRECTORY);
    auto found = std::make_shared<std::vector<Entry>>();
    for (const std::string& name : names_in(fd.get(), quoted(directory))) {
        Entry entry{.name = name, .info = {}};
        if (::fstatat(fd.get(), name.c_str(), &entry.info, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno == ENOENT) continue;
            throw SysError("stat ", quoted(path_below(directory, name)));
        }
        if (!is_left_out(path_below(directory, name), entry.info.st_mode))
            found->push_back(std::move(entry));
    }
    const std::lock_guard one_thread(mutex_);
    return listings_.try_emplace(directory, std::move(found)).first->second;
}

std::string SourceTree::resolve(const std::string& path) {
    std::vector<std::string> ahead = split(path, '/');
    std::ranges::reverse(ahead);
    std::string at;
    for (int links = 0; !ahead.empty();) {
        const std::string name = std::move(ahead.back());
        ahead.pop_back();
        if (name.empty() || name == ".") continue;
        if (name == "..") {
            at.resize(at.contains('/') ? at.rfind('/') : 0);
            continue;
        }
        const std::string next = path_below(at, name);
        const auto there = root_.open_if_exists(next, O_PATH | O_NOFOLLOW);
        if (!there) throw Error(quoted("/" + path), ": not found");
        const mode_t mode = sys::fstat(there->get()).st_mode;
        // What a link leads to may be ignored, too, and the link itself.
        if (is_left_out(next, mode)) throw Error(quoted("/" + path), ": not found");
        if (!S_ISLNK(mode)) {
            at = next;
            continue;
        }
        if (++links > most_links) throw SysError(ELOOP, quoted("/" + path));
        const std::string target = link_target(there->get(), next);
        if (target.starts_with('/')) at.clear();
        std::vector<std::string> parts = split(target, '/');
        ahead.insert(ahead.end(), parts.rbegin(), parts.rend());
    }
    return at;
}

struct stat SourceTree::look(const std::string& path) const {
    return sys::fstat(root_.open(path.empty() ? "/" : path, O_PATH | O_NOFOLLOW).get());
}
