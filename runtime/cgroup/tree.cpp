// The way up is the hard one, as the groups may be removed under us. ".." of a group leads where we
// came from, for the kernel moves none to another parent; where it leads nowhere any more the walk
// goes down again from the top, by the names it has kept and as far as they still lead. All names
// of a level are read before the first is entered: `visit` removes what a directory that is read
// meanwhile would have to go on from.
#include "runtime/cgroup/tree.h"

#include <dirent.h>
#include <fcntl.h>

#include <vector>

#include "base/directory.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace {

struct Level {
    std::string name;                // in the one above; of the top its whole path
    std::vector<std::string> below;  // those that were not entered yet
};

UniqueFd open_group(int parent, const std::string& name) {
    return UniqueFd(
        ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

std::vector<std::string> groups_in(int group) try {
    std::vector<std::string> found;
    for (DirectoryEntry& entry : entries_in(group, "a cgroup"))
        if (entry.type == DT_DIR) found.push_back(std::move(entry.name));
    return found;
} catch (const SysError& e) {
    if (e.code() == ENOENT || e.code() == ENODEV) return {};  // it is gone
    throw;
}

// From the top down again, when the way up is lost because a group was removed under us; as far as
// it still leads.
UniqueFd open_last(std::vector<Level>& levels) {
    UniqueFd here;
    for (size_t depth = 0; depth < levels.size(); ++depth) {
        UniqueFd next = open_group(here ? here.get() : AT_FDCWD, levels[depth].name);
        if (!next)
            levels.resize(depth);
        else
            here = std::move(next);
    }
    return here;
}

}  // namespace

void each_group(const std::string& top, const VisitGroup& visit) {
    UniqueFd here = open_group(AT_FDCWD, top);
    if (!here && (errno == ENOENT || errno == ENODEV)) return;
    check(here.get(), "open ", top);
    std::vector<Level> levels;
    levels.push_back({top, groups_in(here.get())});
    while (!levels.empty()) {
        if (!levels.back().below.empty()) {
            std::string name = std::move(levels.back().below.back());
            levels.back().below.pop_back();
            UniqueFd next = open_group(here.get(), name);
            if (!next && errno != ENOENT && errno != ENODEV)
                throw SysError("open ", name, " below ", top);
            if (!next) continue;
            here = std::move(next);
            levels.push_back({std::move(name), groups_in(here.get())});
            continue;
        }
        // The kernel moves a group to no other parent, so ".." is where we came from.
        const std::string done = std::move(levels.back().name);
        levels.pop_back();
        if (levels.empty()) return visit(AT_FDCWD, done);
        const size_t depth = levels.size();
        if (UniqueFd above = open_group(here.get(), ".."); above)
            here = std::move(above);
        else if (here = open_last(levels); !here)
            return;
        if (levels.size() == depth)
            visit(here.get(), done);  // or it went together with the one above
    }
}
