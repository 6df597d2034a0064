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

// Writes the images (names or IDs, as typed) to `fd` as one tar; of one for several platforms that
// platform's ("": this machine's).
void save_archive(const Store& store, const std::vector<std::string>& names, ArchiveFormat format,
                  int fd, const std::string& platform = {});

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
