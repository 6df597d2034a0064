// Where an image was found is remembered, so that a push to the same registry need not send it.
#include "image/pull.h"

#include "base/log.h"
#include "image/blob_notes.h"
#include "image/copy.h"
#include "image/transport/remote.h"
#include "image/transport/stored.h"
#include "image/trust/judge.h"
#include "image/trust/kept.h"

static void remember(const Store& store, const Place& place, const Image& image) {
    std::vector<spec::Descriptor> blobs = image.manifest.layers;
    blobs.insert(blobs.end(), {image.manifest.config, image.descriptor});
    for (const spec::Descriptor& blob : blobs) {
        const Digest digest(blob.digest);
        BlobNotes(store, digest).add_repository(place.host, place.repository, digest);
    }
}

Image pull(const Store& store, const Reference& name, const TrustPolicy& trust,
           const PullOptions& options) {
    const Lease lease = store.use();
    RegistrySource from(name);
    StoreSink to(store, name, options.platform, from.is_far());
    const auto accept =
        acceptance(trust, from, Origin::registry(name, name.familiar()), keep_in(store));
    const spec::Descriptor top = copy_image(from, to,
                                            {.all = options.all_platforms,
                                             .platform = options.platform,
                                             .accept = accept,
                                             .moved = "Pull complete"});
    Image image = store.load(top, options.platform);
    remember(store, from.place(), image);
    return image;
}

std::vector<std::string> tags_to_pull(const Reference& name) {
    std::vector<std::string> tags =
        Mirrored(name).ask([](Repository& place) { return place.tags(); });
    std::erase_if(tags, [&](const std::string& tag) {
        const auto whole = reference_of(str(name.repository(), ":", tag));
        const bool is_one = whole && whole->tag == tag;
        if (!is_one) log_warning(str("the registry has a tag ", quoted(tag), ", which is none"));
        return !is_one;
    });
    return tags;
}
