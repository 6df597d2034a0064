// Whole files of our own: read, write, and replace so that a crash leaves the old one or the new.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/unique_fd.h"

// Throws SysError if it cannot be read and Error if it is larger than `most` bytes.
std::string read_file(const std::string& path, size_t most = size_t(256) << 20);
// Nothing if it (or a directory above it) does not exist.
std::optional<std::string> read_file_if_exists(const std::string& path, size_t most = size_t(256)
                                                                                      << 20);

// Creates or truncates. For files of /proc and /sys, and for what nobody else reads meanwhile.
void write_file(const std::string& path, std::string_view data, mode_t mode = 0644);

// A new name in the directory of `path`, for what is renamed to `path` when it is whole. It is
// random, so that nothing that a killed process left there, nor a process of another pid namespace,
// stands in the way.
std::string name_aside(const std::string& path);

enum class Durability { rename_only, fsync };
// Writes aside, then renames: readers see the old or the new content, never a part. With fsync a
// power cut leaves one of the two as well.
void replace_file(const std::string& path, std::string_view data, mode_t mode = 0644,
                  Durability durability = Durability::fsync);

// An exclusive flock(2) on a file that is created if it is not there; released with the object. The
// file has the name when the lock is had, and keeps it if whoever removes it holds the lock, too.
class FileLock {
public:
    explicit FileLock(const std::string& path, bool shared = false);
    // Nothing if somebody holds it.
    static std::optional<FileLock> try_lock(const std::string& path);
    int fd() const { return fd_.get(); }

private:
    explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};
