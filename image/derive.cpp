#include "image/derive.h"

#include "base/error.h"

void add_layer(Image& image, const Snapshots::NewLayer& layer, spec::History entry) {
    entry.empty_layer = layer.empty;
    image.config.history.push_back(std::move(entry));
    if (layer.empty) return;
    image.manifest.layers.push_back(layer.blob);
    image.config.rootfs.diff_ids.push_back(layer.diff_id.text());
}

Image publish(const Store& store, Image image, const std::optional<Reference>& name) {
    // Docker's media types have no place in a manifest of the OCI's.
    image.manifest.media_type = spec::media::manifest;
    for (spec::Descriptor& layer : image.manifest.layers)
        if (layer.media_type.starts_with("application/vnd.docker."))
            layer.media_type = spec::oci_media_type(layer.media_type);
    image.manifest.config = store.put_blob(spec::write(image.config), spec::media::config);
    spec::Descriptor descriptor =
        store.put_blob(spec::write(image.manifest), spec::media::manifest);
    descriptor.platform =
        spec::Platform{.architecture = image.config.architecture, .os = image.config.os};
    const Image made = store.load(descriptor);
    Snapshots(store).unpack(made);
    store.tag(descriptor, name);
    return made;
}

Reference name_for_new(const std::string& typed) {
    Reference name = parse_reference(typed);
    if (!name.digest.empty())
        throw Error("invalid name for an image: ", quoted(typed), " has a digest");
    return name;
}
