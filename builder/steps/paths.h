// Paths within a tree, whatever the tree is: files, or only their names in memory.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

// "a/b" of "a" and "b"; either may be "".
std::string path_below(const std::string& directory, std::string_view name);
// "a" of "a/b", and "" of "a".
std::string parent_path(const std::string& path);

// Of a link that is open by O_PATH. `shown` is its name for an error.
std::string link_target(int link, std::string_view shown);

// The clean path that `path` leads to, without links: "" is the tree itself, and no ".." leads out
// of it. `link_at` is asked for each path on the way, which has no links before its last name, and
// gives the target of a link, or nothing for what is none. is_last: nothing comes behind it. Throws
// SysError for more links than the kernel follows.
using LinkAt = std::function<std::optional<std::string>(const std::string& path, bool is_last)>;
std::string follow_path(const std::string& path, const LinkAt& link_at);
