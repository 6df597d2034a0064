// A directory tree that belongs to someone we do not trust: a root file system, a layer, a build
// context. The kernel resolves paths inside it (openat2 with RESOLVE_IN_ROOT), so neither ".." nor
// a planted symlink leads out. Only descriptors come back: after a path has been resolved, work
// goes on with the descriptor, never with the path again.
#pragma once

#include <optional>
#include <string>

#include "base/unique_fd.h"

class Root {
public:
    // host_path is trusted: it names the tree itself.
    explicit Root(const std::string& host_path);
    explicit Root(UniqueFd directory) : dir_(std::move(directory)) {}

    int fd() const { return dir_.get(); }

    // Opens what `inside` names, links followed within the tree. Magic links are refused.
    UniqueFd open(const std::string& inside, int flags, mode_t mode = 0) const;
    std::optional<UniqueFd> open_if_exists(const std::string& inside, int flags) const;

    // The directory `inside`, with every missing level made (mode, owner root): links on the way
    // are followed inside the tree. Gives an O_PATH descriptor. Throws if a level is not a
    // directory.
    UniqueFd make_directories(const std::string& inside, unsigned mode = 0755) const;

    // The directory that holds the last component, made if missing, and that component's name. The
    // name is never "", "." or "..": then it throws.
    struct Place {
        UniqueFd parent;
        std::string name;
    };
    Place make_place(const std::string& inside, unsigned directory_mode = 0755) const;
    Place place(const std::string& inside) const;  // the parent must exist

private:
    UniqueFd dir_;
};
