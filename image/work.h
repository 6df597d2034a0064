// Work in progress, each piece in a file or directory of its own that its owner holds by flock(2):
// whoever finds one that nobody holds knows that its owner is dead. Such names are random, never
// reused.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/unique_fd.h"

struct Claimed {
    std::string path;
    UniqueFd lock;
};
enum class Claim { file, directory };
// Makes DIRECTORY/PURPOSE-XXXXXX (mode 0600 or 0700) and holds it.
Claimed claim(const std::string& directory, const std::string& purpose, Claim what);

// Those in `directory` that nobody holds are given to `bury`, which removes them. The held ones'
// paths come back.
std::vector<std::string> collect_dead(const std::string& directory,
                                      const std::function<void(const std::string& path)>& bury);

// Removes a file or tree; what is mounted in it (of a process that died) is unmounted.
void remove_work(const std::string& path);

// A directory in ROOT/tmp that is removed with the object, and by others once its owner is dead.
class WorkDir {
public:
    WorkDir(WorkDir&&) noexcept = default;
    ~WorkDir();
    const std::string& path() const { return path_; }

private:
    friend class Store;
    explicit WorkDir(Claimed claimed)
        : path_(std::move(claimed.path)), lock_(std::move(claimed.lock)) {}
    std::string path_;
    UniqueFd lock_;
};
