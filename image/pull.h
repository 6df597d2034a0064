// From a registry into the store.
#pragma once

#include <string>
#include <vector>

#include "image/store.h"
#include "image/trust/policy.h"

struct PullOptions {
    std::string platform;        // "linux/arm64"; "" = this machine's
    bool all_platforms = false;  // of an index every image
};
// Pulls an image by name into the store (only the blobs that are missing), tags it, and gives it.
// Throws Docker's words for what is not there, and Error for what `trust` refuses, of which nothing
// but documents was fetched.
Image pull(const Store& store, const Reference& name, const TrustPolicy& trust,
           const PullOptions& options = {});
// The tags that a registry (the first mirror that answers) has of the name's repository. One that
// could not be part of a name is left out, and said.
std::vector<std::string> tags_to_pull(const Reference& name);
