// Whose the files of an unpacked tree are, where they are not the host's users that a layer names:
// shifted by maps of ids, for a container with a user namespace; or all of one user, who cannot
// give files away (rootless).
#pragma once

#include <sys/stat.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spec/runtime.h"

struct Ownership {
    std::vector<spec::IdMapping> uids = {}, gids = {};  // both empty: ids are the host's
    // All is the caller's. Whose it should be stands in an attribute of files and directories,
    // user.rootlesscontainers, as umoci and proot have it; a device is an empty file.
    bool rootless = false;

    bool is_plain() const { return uids.empty() && gids.empty() && !rootless; }

    using Owner = std::pair<uid_t, gid_t>;
    // Of the container's owner the host's. Throws Error for one that is not in the maps.
    Owner on_host(Owner inside) const;
    // Of a file, with its attributes (layer_xattrs()), the owner in a layer; what is only said of
    // him is taken out of them. Throws Error as on_host().
    Owner in_layer(const struct stat& info, std::map<std::string, std::string>& xattrs) const;
    // The attribute to be set on such a file, if there is any.
    std::optional<std::pair<std::string, std::string>> note_of(Owner inside) const;
};

// Of "CONTAINER:HOST[:SIZE]", as --uid-map takes it. Throws Error for what is none.
spec::IdMapping parse_id_mapping(const std::string& typed);

// This process, which must have one thread, is from here on root of a user namespace in which
// nobody is but its user: it may read and change whatever is that user's, whatever the modes. Does
// nothing for root. Throws SysError where users may not make user namespaces.
void become_root_of_own_files();
