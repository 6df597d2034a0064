// A tarball of a root file system becomes the one layer of an image.
#include "base/error.h"
#include "image/archive.h"
#include "image/changes.h"
#include "image/derive.h"

Image import_rootfs(const Store& store, int fd, const std::optional<Reference>& name,
                    const std::vector<std::string>& changes, const std::string& message) {
    Image image;
    image.config.created = creation_time();
    image.config.architecture = host_architecture(), image.config.os = "linux";
    for (const std::string& change : changes) apply_change(image.config.config, change);

    const Lease lease = store.use();
    auto layer = context("importing the root file system", [&] { return take_layer(store, fd); });
    layer.empty = false;  // what is imported is the image's layer, whatever is in it
    add_layer(image, layer,
              {.created = image.config.created,
               .comment = message.empty() ? "Imported from -" : message});
    return publish(store, std::move(image), name);
}
