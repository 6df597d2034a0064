// What is hard: the tree is edited while it is read, or a stranger made it. A path is resolved
// within the root, and what is read later is opened anew and looked at by its descriptor; a listing
// only says what there is to open. An ignored directory must be looked into if a rule may bring
// something below it back.
#include "builder/steps/source_tree.h"

#include <fcntl.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/sys.h"
#include "builder/steps/paths.h"

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
    return follow_path("/" + path, [&](const std::string& at, bool) -> std::optional<std::string> {
        const auto there = root_.open_if_exists(at, O_PATH | O_NOFOLLOW);
        if (!there) throw Error(quoted("/" + path), ": not found");
        const mode_t mode = sys::fstat(there->get()).st_mode;
        // What a link leads to may be ignored, too, and the link itself.
        if (is_left_out(at, mode)) throw Error(quoted("/" + path), ": not found");
        if (!S_ISLNK(mode)) return {};
        return link_target(there->get(), at);
    });
}

struct stat SourceTree::look(const std::string& path) const {
    return sys::fstat(root_.open(path.empty() ? "/" : path, O_PATH | O_NOFOLLOW).get());
}
