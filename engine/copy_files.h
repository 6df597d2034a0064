// Files into a container and out of it, as `keg cp` does: always as a tar, so that either side is
// read or written by descriptors below its own root, and no link of the one leads into the other.
//
// What is hard: the container may run, and change what is looked at while it is looked at. Every
// path of its is resolved in its root by the kernel, at each use anew; what was found is only used
// by its descriptor.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "engine/container.h"

enum class PlaceKind { nothing, file, directory };

// A container's files while `use` runs: with its volumes, whether it runs or not.
class ContainerFiles {
public:
    // What that path is; a link is followed.
    PlaceKind look(const std::string& path) const;
    // The tar of it, whose first name is `name` ("": the directory's content without itself). A
    // link is followed if `follow`. Throws Docker's words if it is not there.
    void read(const std::string& path, const std::string& name, bool follow,
              const std::function<void(std::string_view)>& sink) const;
    // What is in the tar, at that directory, which is there. Owners are root, or those of the tar.
    void write(const std::string& directory, int tar, bool keep_owners) const;

private:
    friend void with_files_of(const Containers&, const Container&,
                              const std::function<void(const ContainerFiles&)>&);
    struct Tree {
        std::string root, inside;
        bool read_only = false;
    };
    Tree tree_of(const std::string& path) const;
    const Containers* containers_ = nullptr;
    const Container* container_ = nullptr;
    std::string root_;
    bool runs_ = false;
};

// Throws Error for a container that has gone.
void with_files_of(const Containers& containers, const Container& container,
                   const std::function<void(const ContainerFiles&)>& use);
