// The root file system itself: its mount, what is hidden or read-only in it, and the pivot. Masks
// and read-only paths are made before the pivot, while the host's /dev/null can be had: what the
// container has under that name may be a link to anything (CVE-2025-31133).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/root.h"
#include "spec/runtime.h"

// The propagation that all mounts of the container's namespace get first: rootfsPropagation, or a
// slave of the host's.
unsigned long namespace_propagation(unsigned long wanted);

// Cuts the mount namespace off (rslave, or what rootfsPropagation wants) and makes the root file
// system a mount of its own, which is private if nothing else is wanted. host_path is absolute and
// resolved.
Root open_root(const std::string& host_path, unsigned long propagation);

// A file is hidden by the null device, bound read-only, so that its node is out of reach; a
// directory by an empty read-only tmpfs; what is not there needs no mask.
void mask(const Root& root, const std::vector<std::string>& paths);
// What hides a file, detached.
UniqueFd make_file_mask(const Root& root);
void make_read_only(const Root& root, const std::vector<std::string>& paths);

// "/" becomes the root; the old one is gone.
void pivot_into(const Root& root);
// For a root on a ramfs, which cannot be pivoted: moves the mount over "/" and changes root.
void move_into(const Root& root, const std::string& host_path);
// For a container without a mount namespace of its own.
void change_root(const Root& root);
// After the pivot: the propagation asked for, and read-only if asked for.
void finish_root(bool readonly, unsigned long propagation);

// What a container without a mount namespace of its own mounts is mounted on the host: all of it
// lies on one private mount over its root file system, and goes with that. Several containers may
// have the same root: their mounts lie one on top of the other, and only the topmost can go without
// those above it. So each is known by the kernel's number, which is stored before it is attached (a
// kill leaves none unknown), and whoever goes from beneath another leaves its mount to that one
// (Container::destroy).
struct HostRoot {
    UniqueFd tree;  // detached at first
    uint64_t id = 0;
};
HostRoot make_host_root(const std::string& host_path);
// Attached and taken away by one at a time. `state_root`: whose containers these are.
UniqueFd lock_host_mounts(const std::string& state_root);
// With all that is mounted in it. False if another mount is the topmost there, and nothing is done.
bool unmount_if_on_top(const std::string& host_path, uint64_t id);
