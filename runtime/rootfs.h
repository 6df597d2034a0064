// The root file system itself: its mount, what is hidden or read-only in it, and the pivot. Masks and
// read-only paths are made before the pivot, while the host's /dev/null can be had: the container's
// may be a link to anything (CVE-2025-31133).
#pragma once

#include <string>
#include <vector>

#include "base/root.h"
#include "spec/runtime.h"

// The propagation that all mounts of the container's namespace get first: rootfsPropagation, or a slave of the host's.
unsigned long namespace_propagation(unsigned long wanted);

// Cuts the mount namespace off (rslave, or what rootfsPropagation wants) and makes the root file system a
// mount of its own, which is private if nothing else is wanted. host_path is absolute and resolved.
Root open_root(const std::string& host_path, unsigned long propagation);
Root open_root_on_host(const std::string& host_path);

// A file is hidden by the null device, a directory by an empty read-only tmpfs; what is not there
// needs no mask.
void mask(const Root& root, const std::vector<std::string>& paths);
void make_read_only(const Root& root, const std::vector<std::string>& paths);

// "/" becomes the root; the old one is gone.
void pivot_into(const Root& root);
// For a root on a ramfs, which cannot be pivoted: moves the mount over "/" and changes root.
void move_into(const Root& root, const std::string& host_path);
// For a container without a mount namespace of its own.
void change_root(const Root& root);
// After the pivot: the propagation asked for, and read-only if asked for.
void finish_root(bool readonly, unsigned long propagation);

// What a container without a mount namespace of its own mounts is mounted on the host: all of it lies on one
// private mount over its root file system, and goes with that. How many mounts were there before tells that
// one from the caller's own, also after a kill.
int mounts_at(const std::string& host_path);
void unmount_down_to(const std::string& host_path, int before);
