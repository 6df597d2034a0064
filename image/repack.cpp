// What is hard: the rootfs must be compared with what was unpacked there, to the last attribute,
// and is a stranger's by now. A list of what it was, with a digest of each file, would have to be
// made by whoever unpacks, for all bundles that are never packed again. But the image is still
// there, and can be mounted for nothing: it is held against the rootfs, bytes against bytes.
#include "image/repack.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "image/layer/diff.h"
#include "image/layer/difference.h"

namespace {

struct Origin {
    int version = 1;
    spec::Descriptor manifest;
    Ownership ownership;
};

std::vector<spec::IdMapping> read_maps(const json::Value& document, const char* name) {
    std::vector<spec::IdMapping> maps;
    for (const json::Value& each : document.value(name, json::Value::array()))
        maps.push_back({.container_id = each.at("containerID").get<uint32_t>(),
                        .host_id = each.at("hostID").get<uint32_t>(),
                        .size = each.at("size").get<uint32_t>()});
    return maps;
}

json::Value written(const std::vector<spec::IdMapping>& maps) {
    json::Value all = json::Value::array();
    for (const spec::IdMapping& each : maps)
        all.push_back(
            {{"containerID", each.container_id}, {"hostID", each.host_id}, {"size", each.size}});
    return all;
}

std::string path_of(const std::string& bundle) { return bundle + "/keg.json"; }

Origin read_origin(const std::string& bundle) {
    const auto text = read_file_if_exists(path_of(bundle), 1 << 20);
    if (!text) throw Error(quoted(bundle), " is no bundle of `keg unpack`: it has no keg.json");
    return context(path_of(bundle), [&] {
        const json::Value document = json::parse(*text);
        Origin origin{.version = document.at("version").get<int>(),
                      .manifest = {},
                      .ownership = {.uids = read_maps(document, "uidMappings"),
                                    .gids = read_maps(document, "gidMappings"),
                                    .rootless = document.value("rootless", false)}};
        if (origin.version != 1) throw Error("version ", origin.version, " is not known");
        const json::Value& manifest = document.at("manifest");
        origin.manifest = {.media_type = manifest.at("mediaType").get<std::string>(),
                           .digest = manifest.at("digest").get<std::string>(),
                           .size = manifest.at("size").get<int64_t>()};
        if (!Digest::is_valid(origin.manifest.digest))
            throw Error("invalid digest ", quoted(origin.manifest.digest));
        return origin;
    });
}

Image load_origin(const Store& store, const spec::Descriptor& manifest, const std::string& bundle) {
    if (!store.has_blob(Digest(manifest.digest)))
        throw Error("the image that ", quoted(bundle),
                    " was unpacked from is not in this store: ", manifest.digest);
    return store.load(manifest);
}

// Calls `use` with the host path where the image is as it was unpacked.
void with_image(const Store& store, const Image& image, const Ownership& ownership,
                const std::function<void(const std::string& root)>& use) {
    const Snapshots snapshots(store);
    const WorkDir work = store.work_dir("repack");
    const std::string before = work.path() + "/before";
    if (!ownership.is_plain() || !may_mount()) {
        sys::mkdir(before, 0755);
        snapshots.flatten(image, before, ownership);
        return use(before);
    }
    snapshots.unpack(image);
    const Mounted mounted(snapshots, {.layers = image.diff_ids(), .target = before});
    use(before);
}

Snapshots::NewLayer pack_changes(const Store& store, const Image& image, const Ownership& ownership,
                                 const std::string& rootfs) {
    const Root now(rootfs);
    const LayerStyle style{.clamp = {.latest = source_date()}, .ownership = ownership};
    TreeChanges changes;
    with_image(store, image, ownership, [&](const std::string& before) {
        changes = compare_trees(now, Root(before), style.clamp);
    });
    return Snapshots(store).new_layer(
        [&](const auto& sink) { return write_layer(now, changes, style, sink); });
}

}  // namespace

void note_origin(const std::string& bundle, const Image& image, const Ownership& ownership) {
    json::Value manifest = json::Value::object();
    manifest["mediaType"] = image.descriptor.media_type;
    manifest["digest"] = image.descriptor.digest;
    manifest["size"] = image.descriptor.size;
    json::Value document = json::Value::object();
    document["version"] = Origin().version;
    document["manifest"] = manifest;
    if (ownership.rootless) document["rootless"] = true;
    if (!ownership.uids.empty()) document["uidMappings"] = written(ownership.uids);
    if (!ownership.gids.empty()) document["gidMappings"] = written(ownership.gids);
    replace_file(path_of(bundle), json::dump(document) + "\n");
}

spec::Descriptor origin_of(const std::string& bundle) { return read_origin(bundle).manifest; }

Image repack_bundle(const Store& store, const std::string& bundle,
                    const std::optional<Reference>& name, const RepackOptions& options) {
    const Origin origin = read_origin(bundle);
    Image image = load_origin(store, origin.manifest, bundle);
    const Snapshots::NewLayer layer =
        pack_changes(store, image, origin.ownership, bundle + "/rootfs");
    add_layer(image, layer, note_change(image, options.words));
    const Image made = publish(store, std::move(image), name);
    if (options.refresh) note_origin(bundle, made, origin.ownership);
    return made;
}
