// The places in a root file system where a RUN's mounts go. What had to be made for them is no part
// of the layer.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/root.h"

class MountPlaces {
public:
    // `rootfs` is mounted with `upper` as what is written to.
    MountPlaces(const std::string& rootfs, const std::string& upper);

    enum class Kind { directory, file };
    // Gives the path of that place without links; makes what is missing.
    std::string make(const std::string& inside, Kind kind);

    // Before the RUN: what directories look like now is what nobody has changed.
    void note();
    // After it, `rootfs` being unmounted: takes back what was made and is still empty.
    void take_back();

private:
    struct Made {
        size_t directory;  // its place in directories_
        std::string name;
        ino_t inode = 0;
        Kind kind{};
    };
    struct Directory {     // that something was made in, or lies on the way to that
        UniqueFd upper;    // in the upper directory
        std::string path;  // "" is the root
        struct stat before{}, noted{};
        bool was_in_upper = false;
        std::string name;
        size_t parent = 0;
    };
    size_t enter(const std::string& path);
    void make_one(const std::string& parent, const std::string& name, Kind kind);

    Root root_, upper_;
    std::vector<Directory> directories_;  // parents before children
    std::vector<Made> made_;
};
