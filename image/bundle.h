// An image's config -> config.json, by the conversion rules of image-spec (conversion.md), and
// stand-alone bundles.
#pragma once

#include <string>

#include "base/root.h"
#include "image/snapshots.h"
#include "spec/runtime.h"

// Who a "user[:group]" is in that root file system: numbers, names from its etc/passwd and
// etc/group (at most 8 MiB each, regular files only), supplementary groups. Docker's words when not
// found: `unable to find user x: no matching entries in passwd file`.
struct ResolvedUser {
    uint32_t uid = 0, gid = 0;
    std::vector<uint32_t> additional_gids;
    std::string home;  // "/" if unknown
};
// `more_groups` are joined beside them: names or numbers.
ResolvedUser resolve_user(const Root& root, const spec::UserName& user,
                          const std::vector<std::string>& more_groups = {});

struct UnpackOptions {
    // Every label becomes an annotation, those too that runtimes obey on the host.
    bool label_annotations = false;
    // Where it is not plain, the container gets a user namespace with these maps, or, rootless,
    // with the one user who calls.
    Ownership ownership = {};
};

// The runtime config for that image: args, env, cwd, user, annotations (org.opencontainers.image.*
// and labels). Isolation, mounts and capabilities are the default of `keg-runtime spec` (a
// read-write root).
spec::Config bundle_config(const Image& image, const Root& root, const UnpackOptions& options = {});

// DIRECTORY/config.json, DIRECTORY/rootfs, and DIRECTORY/keg.json, which says what image that was
// (repack.h): complete or not at all. The directory must not exist or be empty.
void unpack_bundle(const Store& store, const Image& image, const std::string& directory,
                   const UnpackOptions& options = {});
