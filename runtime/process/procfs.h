// The kernel's files for processes and settings. What is written there decides about rights, and it
// must reach the kernel: not a file system that an image brought, nor a mount that was raced onto a
// part of /proc (CVE-2019-16884, CVE-2025-52881). So nobody in runtime/ writes to a path below
// /proc; they write through a descriptor of a procfs, and the kernel may neither leave that file
// system nor follow a magic link.
//
// Init's is one of its own that is mounted nowhere, so that nothing can lie on it. The kernel takes
// some 15 µs to make one and 40 µs to take it away, a fiftieth of a start, so only who has
// something to write asks for it. Where the kernel gives none (a user namespace whose /proc is
// covered in parts), and for what create writes on the host before the container has a process of
// its own, it is the host's /proc, whose mounts are the host's.
#pragma once

#include <string>
#include <string_view>

#include "base/unique_fd.h"

class Procfs {
public:
    // What is mounted on /proc. Throws Error if that is another file system.
    static Procfs of_host();
    // One of our own, of the pid namespace we are in; else the host's.
    enum class Content { processes, all };
    static Procfs of_our_own(Content content);

    // path: "thread-self/attr/exec", "sys/kernel/msgmax". Throws SysError `open /proc/…`.
    UniqueFd open(const std::string& path, int flags) const;
    void write(const std::string& path, std::string_view text) const;
    // Opens what a descriptor leads to once more: of an O_PATH that was found to be harmless, what
    // it is for. `shown` is its name for an error.
    UniqueFd reopen(int fd, int flags, std::string_view shown) const;

private:
    explicit Procfs(UniqueFd directory) : directory_(std::move(directory)) {}
    UniqueFd directory_;
};
