// What is wrong with a store: blobs whose bytes are not those of their name, documents that lead
// nowhere, unpacked layers that are not what their blobs hold, what dead commands left. Nothing is
// deleted to find out, nor to repair.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "image/store.h"

struct Problem {
    std::string kind;      // index, blob, image, name, layer, leftover
    std::string object;    // a digest, a name, a path below the store
    std::string what;      // is wrong with it
    std::string repaired;  // what was done; empty: nothing
};
struct CheckReport {
    uint64_t images = 0, blobs = 0, bytes = 0, layers = 0;  // looked at
    std::vector<Problem> problems;
};

// Reads the whole store, and unpacks each layer once more, one after the other, to compare. With
// `repair` what is damaged goes to ROOT/quarantine, where the next load or pull of the same digest
// does not find it; a layer is unpacked anew where its blob is whole; a lost index.json is made
// anew of the manifests that are there. What is referenced and missing stays missing, and is named.
CheckReport check_store(const Store& store, bool repair);
