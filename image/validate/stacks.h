// The layers of images, each on the layers below it, and against what the images' documents say.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "image/files.h"
#include "image/validate/layer.h"
#include "image/validate/rules.h"
#include "spec/image.h"

// A layer of an image, and what the image's documents say of it.
struct StackedLayer {
    std::string path;  // in the files; "" if it is not there
    spec::Descriptor descriptor;
    std::string diff_id;
    std::string document, place;  // where that stands
};
struct StackedImage {
    std::string document, place;  // where its layers stand
    std::string config;           // what findings call its config
    std::string config_digest, user;
    std::vector<StackedLayer> layers;
    bool is_item = false;  // of manifest.json
    bool is_whole = true;  // these are all of its layers
};

// What findings call the blob at a path.
std::string name_of_blob(const std::string& path);
std::string_view algorithm_of(std::string_view digest);

class Stacks {
public:
    Stacks(const Files& files, Findings& findings, std::span<const StackedImage> images)
        : files_(files), findings_(findings), images_(images) {}
    Stacks(const Stacks&) = delete;
    Stacks& operator=(const Stacks&) = delete;

    void judge();

private:
    // Layers on the layers below them: all images as one tree.
    struct Node {
        std::map<std::string, size_t> above;  // by the path of the layer
        std::vector<size_t> images;           // that end here
        size_t weight = 1;                    // of it and all above it
    };
    struct Read {
        size_t stacks = 0;  // on how many different ones it stands
        LayerQuestion question;
        std::optional<LayerFacts> facts;
    };

    void found(RuleCode code, const std::string& document, const std::string& place,
               std::string problem) {
        findings_.add(code, document, place, std::move(problem));
    }
    void plan();
    void descend(size_t node, LayerStack stack);
    void stack_layer(const std::string& path, LayerStack& stack);
    void judge_user(const StackedImage& image, LayerStack& stack);
    void compare_layers(const StackedImage& image);
    void compare_layer(const StackedLayer& layer, const LayerFacts& facts);
    void compare_items();

    const Files& files_;
    Findings& findings_;
    std::span<const StackedImage> images_;
    std::vector<Node> nodes_;
    std::map<std::string, Read> layer_files_;  // by path
    std::vector<std::string> tags_;            // their paths, by their number in a tree
    size_t entries_left_ = 500'000, text_left_ = size_t(16) << 20;  // that may be kept
    std::set<std::string> compared_;
};
