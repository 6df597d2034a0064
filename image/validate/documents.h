// The documents of an image, each judged by itself, by image-spec's descriptor.md, image-index.md,
// manifest.md and config.md. What of one can be read is given, whatever is wrong with the rest.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/validate/rules.h"
#include "spec/image.h"

// A descriptor in a document.
struct Link {
    std::string place;  // in its document: "layers[0]"
    spec::Descriptor descriptor;
    std::optional<std::string> data = {};  // what is embedded in it
};

struct IndexWords {
    std::vector<Link> entries;
    bool is_complete = false;  // these are all
};
struct ManifestWords {
    std::optional<Link> config;
    std::vector<Link> layers;
    bool is_complete = false;  // these are all, and the config is there
};
struct ConfigWords {
    std::optional<std::vector<std::string>> diff_ids;
    spec::Platform platform;
    std::string user;
};

// `document` is what findings call it; `media_type` what its descriptor says, or "" if it has none.
IndexWords judge_index(std::string_view text, const std::string& document,
                       std::string_view media_type, Findings& findings);
ManifestWords judge_manifest(std::string_view text, const std::string& document,
                             std::string_view media_type, Findings& findings);
ConfigWords judge_config(std::string_view text, const std::string& document, Findings& findings);
// oci-layout.
void judge_layout_file(std::string_view text, const std::string& document, Findings& findings);

// manifest.json of a docker-archive.
struct ArchiveItem {
    std::string config;
    std::vector<std::string> layers, tags;
};
std::vector<ArchiveItem> judge_archive_items(std::string_view text, const std::string& document,
                                             Findings& findings);

// Whether these are the bytes that the digest names: nothing if its algorithm is not known here.
std::optional<bool> has_digest(std::string_view data, std::string_view digest);
