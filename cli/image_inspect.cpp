// Docker's document speaks of more than keg knows of: those fields are there with what they hold
// when there is nothing (Parent, LastTagTime). An image has a tag for each of its names, but one
// digest for each repository, however many tags it has there.
#include "cli/image_inspect.h"

#include <set>

#include "base/json.h"

std::string image_inspect_json(const Store& store, const NamedImage& named) {
    const Image image = store.load(named.descriptor);
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
         {{"mediaType", named.descriptor.media_type},
          {"digest", named.descriptor.digest},
          {"size", named.descriptor.size}}},
    };
    if (!config.variant.empty()) out["Variant"] = config.variant;
    return json::dump(out, 4);
}
