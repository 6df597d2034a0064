// Docker's document speaks of more than keg knows of: those fields are there with what they hold
// when there is nothing (Parent, LastTagTime). An image has a tag for each of its names, but one
// digest for each repository, however many tags it has there.
#include "cli/image_inspect.h"

#include <algorithm>

#include "base/json.h"

std::string image_inspect_json(const Store& store, const NamedImage& named) {
    const Image image = store.load(named.descriptor);
    json::Value tags = json::Value::array(), digests = json::Value::array();
    for (const NamedImage& other : store.images()) {
        if (!other.name || other.descriptor.digest != named.descriptor.digest) continue;
        if (!other.name->tag.empty())
            tags.push_back(other.name->familiar_repository() + ":" + other.name->tag);
        const std::string by_digest =
            other.name->familiar_repository() + "@" + other.descriptor.digest;
        if (std::find(digests.begin(), digests.end(), by_digest) == digests.end())
            digests.push_back(by_digest);
    }
    const spec::ImageConfig& config = image.config;
    json::Value out = {
        {"Id", image.id().text()},
        {"RepoTags", tags},
        {"RepoDigests", digests},
        {"Parent", ""},
        {"Comment", config.history.empty() ? "" : config.history.back().comment},
        {"Created", config.created},
        {"Author", config.author},
        {"Config", json::parse(spec::write(config.config))},
        {"Architecture", config.architecture},
        {"Os", config.os},
        {"Size", image.size},
        {"RootFS", {{"Type", "layers"}, {"Layers", config.rootfs.diff_ids}}},
        {"Metadata", {{"LastTagTime", "0001-01-01T00:00:00Z"}}},
        {"Descriptor",
         {{"mediaType", named.descriptor.media_type},
          {"digest", named.descriptor.digest},
          {"size", named.descriptor.size}}},
    };
    if (!config.variant.empty()) out["Variant"] = config.variant;
    return json::dump(out, 4);
}
