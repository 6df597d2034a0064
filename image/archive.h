// The two archive formats: docker-archive (manifest.json + layers, what `docker save` writes and
// `docker load` reads) and oci-archive (an image layout in a tar). What is written is both at once:
// an archive that docker, podman, skopeo, containerd and keg load.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "image/store.h"
#include "image/transport/archive.h"
#include "image/trust/policy.h"

// Which of the images of an index are saved: all that are here, or those for some platforms; if
// none is named, this machine's.
struct PlatformChoice {
    std::vector<std::string> platforms = {};  // "linux/arm64"
    bool all = false;
};
// Writes the images (names or IDs, as typed) to `fd` as one tar. Of several platforms' images the
// index goes along. Throws Docker's words for a platform that is not here.
void save_archive(const Store& store, const std::vector<std::string>& names, ArchiveFormat format,
                  int fd, const PlatformChoice& choice = {});

struct Loaded {
    std::vector<std::string> names;  // familiar names; empty: the image had none
    Digest id;
};
// Reads any archive that docker, podman, skopeo, containerd or keg write, compressed or not, from a
// file or a pipe, verifying every digest. Nothing is published before all of it was read, and of
// what `trust` refuses nothing at all. `path` is the file's, for the policy; "": it has none.
std::vector<Loaded> load_archive(const Store& store, int fd, const TrustPolicy& trust,
                                 const std::string& path = {});

// A root file system's tarball (any compression) as an image of one layer; without a name it is a
// dangling image. `changes` are Dockerfile instructions for its config (changes.h).
Image import_rootfs(const Store& store, int fd, const std::optional<Reference>& name,
                    const std::vector<std::string>& changes = {}, const std::string& message = {});
