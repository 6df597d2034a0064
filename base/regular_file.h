// The one way in which keg opens a file that somebody else has placed: in an image, a container, a
// build context. What is hard: open(2) already acts. A device does something when it is opened, a
// FIFO waits for its other end, a terminal becomes ours, and some files of the kernel's (procfs'
// kmsg) never end. So a name is resolved without opening it (O_PATH), what it leads to is asked of
// that descriptor, and that same descriptor is opened for reading: between look and use there is no
// name that could be given another meaning. How much is read is the reader's to limit
// (sys::read_all).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/root.h"
#include "base/unique_fd.h"

// Throws Error in words ("\"/etc/passwd\" is a FIFO, not a regular file") unless `fd`, which may be
// O_PATH, is a regular file of a file system that stores files. `shown` is its name for the error.
void require_regular(int fd, std::string_view shown);

// Opens what `inside` names for reading, links followed within the tree unless flags has
// O_NOFOLLOW. Needs the host's /proc; where "/" is a container's, see Procfs::reopen.
UniqueFd open_regular(const Root& root, const std::string& inside, int flags = 0);
// Nothing if it is not there; everything else that open_regular would refuse is thrown.
std::optional<UniqueFd> open_regular_if_exists(const Root& root, const std::string& inside,
                                               int flags = 0);
// The same for a name in a directory that is open, never through a link.
UniqueFd open_regular_at(int directory, const std::string& name, std::string_view shown);
// Of an O_PATH descriptor.
UniqueFd reopen_regular(int fd, std::string_view shown);
