// What is other in a tree of files than it was: the plan of a layer, which diff.h writes.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/root.h"

// As builders do by SOURCE_DATE_EPOCH: no time is later.
struct Clamp {
    std::optional<int64_t> latest = {};
    // Of the last change of a file's content. Layers have no smaller unit.
    int64_t seconds(const struct stat& info) const {
        return latest && *latest < info.st_mtim.tv_sec ? *latest : info.st_mtim.tv_sec;
    }
};

// A directory, then all that is in it, before the next name.
struct TreeOrder {
    bool operator()(std::string_view a, std::string_view b) const;
};
enum class TreeChange { present, gone };
// By paths without a slash before them; "" is the root. Of a directory that is gone, or is none any
// more, what was in it is not named.
using TreeChanges = std::map<std::string, TreeChange, TreeOrder>;

// What of `now` is not as in `before`, or was not there, and what is gone. Compared is what a layer
// says: kinds, modes, owners, times in seconds, contents, link targets, device numbers, attributes,
// and which names are one file. Sockets and devices 0:0, which a layer cannot have, are passed
// over. `now` may be a stranger's: no link is followed, only regular files are opened. Throws an
// Error that names the file, also for a name that a layer cannot hold.
TreeChanges compare_trees(const Root& now, const Root& before, const Clamp& clamp = {});

// Throws Error for a name that begins with ".wh.": in a layer it means something else.
void require_name(std::string_view name, const std::string& path);

// The attributes of a file that belong in a layer; of one without such, none. A link is not
// followed, procfs's neither: a descriptor's directory is "/proc/self/fd/N/.".
std::map<std::string, std::string> layer_xattrs(const std::string& host_path);
