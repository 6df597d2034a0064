// Docker's document speaks of more than keg knows of: those fields are there with what they hold
// when there is nothing (Parent, LastTagTime). An image has a tag for each of its names, but one
// digest for each repository, however many tags it has there.
#include "cli/image_inspect.h"

#include <set>

#include "base/json.h"
#include "image/variants.h"

std::string image_inspect_json(const Store& store, const NamedImage& named,
                               const std::string& platform) {
    const spec::Descriptor shown = get_variant(store, named, platform);
    const Image image = store.load(shown);
    json::Value tags = json::Value::array(), digests = json::Value::array();
    std::set<std::string> seen;
    for (const Reference& name : store.names_of(named.descriptor)) {
        if (!name.tag.empty()) tags.push_back(name.familiar_repository() + ":" + name.tag);
        const std::string by_digest = name.familiar_repository() + "@" + named.descriptor.digest;
        if (seen.insert(by_digest).second) digests.push_back(by_digest);
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
         {{"mediaType", shown.media_type}, {"digest", shown.digest}, {"size", shown.size}}},
    };
    if (!config.variant.empty()) out["Variant"] = config.variant;
    return json::dump(out, 4);
}
