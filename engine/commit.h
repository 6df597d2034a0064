// A container becomes an image: that which it was made of, and on top a layer of what the container
// has changed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/container.h"
#include "image/store.h"

struct CommitOptions {
    std::string author, message;
    std::vector<std::string> changes;  // Dockerfile instructions (image/changes.h)
    bool pause = true;                 // one that runs, while it is read
};

// The image's config is what the container was told to be, then the changes. Volumes are no part of
// it, nor is what a start put into the root file system. Without a name it is a dangling image. The
// caller has a lease on the store.
Image commit_container(const Containers& containers, const Container& container, const Store& store,
                       const std::optional<Reference>& name, const CommitOptions& options);
