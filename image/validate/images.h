// The images of a layout or an archive: from its first documents to the last blob, each of which is
// read once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "image/files.h"
#include "image/validate/documents.h"
#include "image/validate/rules.h"
#include "image/validate/stacks.h"

class Images {
public:
    Images(const Files& files, Findings& findings) : files_(files), findings_(findings) {}
    Images(const Images&) = delete;
    Images& operator=(const Images&) = delete;

    // What index.json says, and all that it leads to but layers. `name` is what findings call it.
    void add_index(std::string_view text, const std::string& name);
    // What a descriptor says that stands in no document of the files.
    void add(const Link& link, const std::string& document);
    // What manifest.json says.
    void add_items(std::string_view text, const std::string& name);
    // The layers of all these, each on what it stands on.
    void judge_layers();
    // The blobs that nothing led to.
    void judge_rest();

private:
    struct Config {
        ConfigWords words;
        std::string digest;
    };
    void found(RuleCode code, const std::string& document, const std::string& place,
               std::string problem) {
        findings_.add(code, document, place, std::move(problem));
    }
    void judge_names(const IndexWords& index, const std::string& name);
    void walk(const Link& link, const std::string& document, size_t depth);
    void walk_index(const Link& link, const std::string& document, size_t depth);
    void walk_manifest(const Link& link, const std::string& document);
    void compare_platform(const Link& link, const std::string& document);
    void add_image(const ManifestWords& manifest, const Config& config, const std::string& name,
                   const std::string& config_name);
    void judge_erofs(const ManifestWords& manifest, const Config& config, const std::string& name);
    void add_item(const ArchiveItem& item, const std::string& document, const std::string& at);
    std::string part(const std::string& path, const std::string& document, const std::string& place,
                     bool is_layer);
    void add_opaque(const Link& link, const std::string& document);
    void keep(StackedImage image);

    std::string blob_path(const Link& link, const std::string& document);
    std::optional<std::string> document_of(const Link& link, const std::string& document);
    std::optional<std::string> read_document(const std::string& path, const std::string& name);
    const Config* config_at(const std::string& path, const std::string& text);

    void judge_opaque();
    void judge_unreferenced(const std::string& path);
    std::optional<std::string> hash(const std::string& path, std::string_view algorithm);

    const Files& files_;
    Findings& findings_;
    std::set<std::string> seen_;        // documents, by path and type
    std::set<std::string> referenced_;  // paths
    size_t document_bytes_ = 0, layers_ = 0;
    std::map<std::string, Config> configs_;            // by path
    std::map<std::string, spec::Platform> platforms_;  // of manifests, by digest
    struct Opaque {
        Link link;
        std::string document, path;
    };
    std::vector<Opaque> opaque_;
    std::vector<StackedImage> images_;
    std::set<std::string> diff_ids_;     // of all configs
    bool begun_ = false, lost_ = false;  // lost_: something may lead to blobs, and was not followed
};
