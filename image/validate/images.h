// The images of a layout or an archive: from its first documents to the last blob, each of which is
// read once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "image/validate/documents.h"
#include "image/validate/files.h"
#include "image/validate/layer.h"
#include "image/validate/rules.h"

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
    // A layer of an image, and what the image's documents say of it.
    struct Layer {
        std::string path;  // in the files; "" if it is not there
        spec::Descriptor descriptor;
        std::string diff_id;
        std::string document, place;  // where that stands
    };
    struct Image {
        std::string document, place;  // where its layers stand
        std::string config;           // what findings call its config
        std::string config_digest, user;
        std::vector<Layer> layers;
        bool is_item = false;  // of manifest.json
        bool is_whole = true;  // these are all of its layers
    };
    struct Config {
        ConfigWords words;
        std::string digest;
    };
    // Layers on the layers below them: all images as one tree.
    struct Node {
        std::map<std::string, size_t> above;  // by the path of the layer
        std::vector<size_t> images;           // that end here
        size_t weight = 1;                    // of it and all above it
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
    void add_item(const ArchiveItem& item, const std::string& document, const std::string& at);
    std::string part(const std::string& path, const std::string& document, const std::string& place,
                     bool is_layer);
    void add_opaque(const Link& link, const std::string& document);
    void keep(Image image);

    std::string blob_path(const Link& link, const std::string& document);
    std::optional<std::string> document_of(const Link& link, const std::string& document);
    std::optional<std::string> read_document(const std::string& path, const std::string& name);
    const Config* config_at(const std::string& path, const std::string& text);

    void plan_stacks();
    void descend(size_t node, LayerStack stack);
    void stack_layer(const std::string& path, LayerStack& stack);
    void judge_user(const Image& image, LayerStack& stack);
    void compare_layers(const Image& image);
    void compare_layer(const Layer& layer, const LayerFacts& facts);
    void compare_items();
    void judge_opaque();
    void judge_unreferenced(const std::string& path);
    std::optional<std::string> hash(const std::string& path, std::string_view algorithm);

    const Files& files_;
    Findings& findings_;
    std::set<std::string> seen_;               // documents, by path and type
    std::set<std::string> referenced_, read_;  // paths
    size_t document_bytes_ = 0, layers_ = 0;
    std::map<std::string, Config> configs_;            // by path
    std::map<std::string, spec::Platform> platforms_;  // of manifests, by digest
    struct Opaque {
        Link link;
        std::string document, path;
    };
    std::vector<Opaque> opaque_;
    std::vector<Image> images_;
    std::set<std::string> diff_ids_;     // of all configs
    bool begun_ = false, lost_ = false;  // lost_: something may lead to blobs, and was not followed

    std::vector<Node> nodes_;
    struct Read {
        size_t stacks = 0;  // on how many different ones it stands
        LayerQuestion question;
        std::optional<LayerFacts> facts;
    };
    std::map<std::string, Read> layer_files_;  // by path
    std::vector<std::string> tags_;            // their paths, by their number in a tree
    size_t entries_left_ = 500'000, text_left_ = size_t(16) << 20;  // that may be kept
};
