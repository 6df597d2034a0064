// The mounts that the root of a container is made of: an index over the tars of layers (EROFS whose
// files lie in other files, Linux 6.12), and an overlay over that and over directories.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"

// Has this process the right to mount: is it root where its mounts are?
bool may_mount();

// What an overlay lies over: a directory, or a mount that is nowhere in the tree of files.
struct Lower {
    std::string path;     // to look at it: of such a mount, through /proc
    UniqueFd mount = {};  // it goes with the last overlay or descriptor that has it
};

// Mounts an index, read-only; `tars` are the host paths of what its devices are, in their order.
// `look` is shown each of these files as it is opened, and may throw. Throws SysError, also where
// the kernel cannot: before Linux 6.12, on a file system that is no ordinary one (overlayfs,
// tmpfs).
using Look = std::function<void(const std::string& path, int fd)>;
Lower mount_index(const std::string& index, std::span<const std::string> tars,
                  const Look& look = {});

struct Overlay {
    std::vector<Lower> lowers;  // topmost first; at least one, and two of a read-only one
    std::string upper, work;    // host directories on one file system; both empty: read-only
    std::string target;         // a directory
    bool is_volatile = false;   // nothing need be synced at unmount
};
// Takes nothing from the xattrs of what it lies over but whiteouts and opaque directories.
void mount_overlay(const Overlay& overlay);
