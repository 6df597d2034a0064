// Manifest lists: an index of the store that is put together image by image, as `docker manifest`
// does it. The list is an image like others: it has a name, and is copied, pushed and removed.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/reference.h"
#include "image/transport/remote.h"
#include "image/store.h"

// The documents of an image as it was typed: those of the store if it is there, else those of a
// registry.
class Manifests {
public:
    // `keeps`: what comes from a registry stays in the store, but for layers.
    Manifests(const Store& store, std::string typed, bool keeps);

    // What the name means: a manifest, or an index. Throws Docker's words if it is nowhere.
    const Repository::Document& top();
    // One that the top names, directly or not.
    std::string text_of(const spec::Descriptor& descriptor);
    // By the config; nothing for what is no image.
    std::optional<spec::Platform> platform_of(const spec::Manifest& manifest);

private:
    void find_registry(const spec::Descriptor& has);
    std::string needed_document(const spec::Descriptor& descriptor);
    std::string config_text(const spec::Descriptor& config);
    void keep(const spec::Descriptor& document, const std::string& text);

    const Store& store_;
    const std::string typed_;
    const bool keeps_;
    std::optional<Reference> name_;  // by which a registry has it
    std::unique_ptr<RegistrySource> registry_;
    std::optional<Repository::Document> top_;
};

struct ManifestList {
    spec::Descriptor descriptor;
    spec::Index index;
};
// Throws Error if the name means another image.
std::optional<ManifestList> find_list(const Store& store, const Reference& name);

// Is it an index that has no image for this machine, or of which that one is not here? Then nothing
// of it can be run here, which is no fault of it.
bool is_for_others(const Store& store, const spec::Descriptor& image);

// Of one image or more, each as typed; of an index all that it names. With `amend` they are added
// to the list, if there is one: instead of an entry with the same digest, or for the same platform.
// Throws Docker's words.
spec::Descriptor create_list(const Store& store, const Reference& name,
                             std::span<const std::string> images, bool amend);

// Makes the list if there is none. The entry stands there once.
void add_to_list(const Store& store, const Reference& name, const spec::Descriptor& entry);

// What an entry is to say instead of what it says.
struct PlatformWords {
    std::optional<std::string> os, architecture, variant, os_version;
    std::optional<std::vector<std::string>> os_features;
};
// Throws Docker's words for an image that is not in the list, or a platform that no machine has.
spec::Descriptor annotate_list(const Store& store, const Reference& name, const std::string& image,
                               const PlatformWords& words);
