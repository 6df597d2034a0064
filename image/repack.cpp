// What is hard: the rootfs must be compared with what was unpacked there, to the last attribute,
// and is a stranger's by now. A list of what it was, with a digest of each file, would have to be
// made by whoever unpacks, for all bundles that are never packed again. But the image is still
// there, and can be mounted for nothing: it is held against the rootfs, bytes against bytes.
#include "image/repack.h"

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "image/layer/diff.h"
#include "image/layer/difference.h"

namespace {

struct Origin {
    int version = 1;
    spec::Descriptor manifest;
};

std::string path_of(const std::string& bundle) { return bundle + "/keg.json"; }

Origin read_origin(const std::string& bundle) {
    const auto text = read_file_if_exists(path_of(bundle), 1 << 20);
    if (!text) throw Error(quoted(bundle), " is no bundle of `keg unpack`: it has no keg.json");
    return context(path_of(bundle), [&] {
        const json::Value document = json::parse(*text);
        Origin origin{.version = document.at("version").get<int>(), .manifest = {}};
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

Image load_origin(const Store& store, const std::string& bundle) {
    const Origin origin = read_origin(bundle);
    if (!store.has_blob(Digest(origin.manifest.digest)))
        throw Error("the image that ", quoted(bundle),
                    " was unpacked from is not in this store: ", origin.manifest.digest);
    return store.load(origin.manifest);
}

Snapshots::NewLayer pack_changes(const Store& store, const Image& image,
                                 const std::string& rootfs) {
    const Snapshots snapshots(store);
    snapshots.unpack(image);
    const WorkDir work = store.work_dir("repack");
    const Snapshot before{
        .layers = image.diff_ids(), .upper = {}, .work = {}, .target = work.path() + "/before"};
    snapshots.mount(before, false);
    const Defer unmounted([&] {
        attempt("unmounting " + before.target, [&] { Snapshots::unmount(before.target); });
    });
    const Root now(rootfs);
    const Clamp clamp{.latest = source_date()};
    const TreeChanges changes = compare_trees(now, Root(before.target), clamp);
    return snapshots.new_layer(
        [&](const auto& sink) { return write_layer(now, changes, clamp, sink); });
}

}  // namespace

void note_origin(const std::string& bundle, const Image& image) {
    json::Value manifest = json::Value::object();
    manifest["mediaType"] = image.descriptor.media_type;
    manifest["digest"] = image.descriptor.digest;
    manifest["size"] = image.descriptor.size;
    json::Value document = json::Value::object();
    document["version"] = Origin().version;
    document["manifest"] = manifest;
    replace_file(path_of(bundle), json::dump(document) + "\n");
}

Image repack_bundle(const Store& store, const std::string& bundle,
                    const std::optional<Reference>& name, const RepackOptions& options) {
    Image image = load_origin(store, bundle);
    const Snapshots::NewLayer layer = pack_changes(store, image, bundle + "/rootfs");
    add_layer(image, layer, note_change(image, options.words));
    const Image made = publish(store, std::move(image), name);
    if (options.refresh) note_origin(bundle, made);
    return made;
}
