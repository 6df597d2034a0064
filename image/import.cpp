// A tarball of a root file system becomes the one layer of an image.
#include "base/error.h"
#include "base/log.h"
#include "image/archive.h"
#include "image/changes.h"
#include "image/derive.h"
#include "image/snapshots.h"

Image import_rootfs(const Store& store, int fd, const std::optional<Reference>& name,
                    const std::vector<std::string>& changes, const std::string& message) {
    spec::ImageConfig config{
        .created = rfc3339_now(), .architecture = host_architecture(), .os = "linux"};
    for (const std::string& change : changes) apply_change(config.config, change);
    config.history = {
        {.created = config.created, .comment = message.empty() ? "Imported from -" : message}};

    const Lease lease = store.use();
    const auto layer =
        context("importing the root file system", [&] { return take_layer(store, fd); });
    config.rootfs.diff_ids = {layer.diff_id.text()};

    spec::Manifest manifest{.media_type = std::string(spec::media::manifest)};
    manifest.layers = {layer.blob};
    manifest.config = store.put_blob(spec::write(config), spec::media::config);
    const spec::Descriptor descriptor =
        store.put_blob(spec::write(manifest), spec::media::manifest);
    const Image image = store.load(descriptor);
    Snapshots(store).unpack(image, Snapshots::Trust::nothing);
    store.tag(descriptor, name);
    return store.load(descriptor);
}
