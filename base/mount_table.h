// /proc/self/mountinfo (proc_pid_mountinfo(5)): what is mounted in this namespace, in the order in
// which it was, so that of two at one place the later one is seen there. Hard about it are its
// words: a blank in a path is "\040", a backslash "\134"; and the fields behind the sixth have no
// fixed number before the " - ".
#pragma once

#include <string>
#include <string_view>
#include <vector>

struct MountEntry {
    std::string root, point;    // of the file system's tree, and where it is mounted; decoded
    std::string type, options;  // the file system's own options, as they are written
};

// Pure; lines that are none are left out.
std::vector<MountEntry> parse_mount_table(std::string_view mountinfo);
// Throws SysError without /proc.
std::vector<MountEntry> mount_table();
// Where something is mounted at the directory or below it, what was mounted last first.
std::vector<std::string> mounts_below(const std::string& directory);
