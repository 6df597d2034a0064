// The name comes last: what it means must be there, and be what its image says, before anybody can
// find it. A mirror is asked before the registry, and is only a mirror: whatever it does wrong, the
// next place is asked. Where an image was found is remembered, so that a push to the same registry
// need not send it.
#include "image/pull.h"

#include <optional>
#include <set>

#include "base/parallel.h"
#include "base/progress.h"
#include "image/blob_notes.h"
#include "image/platform.h"
#include "image/registry/repository.h"
#include "image/snapshots.h"
#include "image/transport/remote.h"
#include "image/trust/judge.h"

namespace {

constexpr size_t parallel_downloads = 3;
constexpr size_t most_indexes = 4;  // in indexes, as the store reads them

// A manifest, and the indexes that have led to it.
struct Found {
    std::shared_ptr<Repository> repository;
    Repository::Document document;
    std::vector<Repository::Document> indexes;
    bool finds_again = true;  // by the first index this machine finds the same image
};

bool is_index(const Repository::Document& document) {
    return spec::oci_media_type(document.descriptor.media_type) == spec::media::index;
}

Found look_in(const Place& place, const Reference& name, const std::string& platform) {
    Found found{.repository = std::make_shared<Repository>(name, place, "pull")};
    Repository& repository = *found.repository;
    found.document = repository.document(name.digest.empty() ? name.tag : name.digest, name.digest);
    while (is_index(found.document)) {
        if (found.indexes.size() == most_indexes)
            throw Error(name.familiar(), ": its indexes are nested too deep");
        const spec::Index index = spec::read_index(found.document.text);
        const spec::Descriptor* const chosen = find_platform(index, platform);
        if (!chosen)
            throw Error("no matching manifest for ", platform.empty() ? host_platform() : platform,
                        " in the manifest list entries");
        found.finds_again &= chosen == find_platform(index, "");
        found.indexes.push_back(std::move(found.document));
        found.document = repository.document(chosen->digest, chosen->digest);
    }
    return found;
}

spec::Manifest read_image(const Repository::Document& document, const Reference& name) {
    if (spec::oci_media_type(document.descriptor.media_type) != spec::media::manifest)
        throw Error("unsupported manifest media type ", ::quoted(document.descriptor.media_type));
    spec::Manifest manifest = spec::read_manifest(document.text);
    if (spec::oci_media_type(manifest.config.media_type) != spec::media::config)
        throw Error(name.familiar(), " is not an image: its config is ",
                    ::quoted(manifest.config.media_type));
    context("manifest " + document.descriptor.digest, [&] { spec::check_layers(manifest); });
    return manifest;
}

// The blobs the store lacks, each once, a few at a time.
void fetch_all(const Store& store, Repository& repository,
               const std::vector<spec::Descriptor>& blobs) {
    std::vector<spec::Descriptor> missing;
    std::set<std::string> seen;
    for (const spec::Descriptor& blob : blobs) {
        if (!seen.insert(blob.digest).second) continue;
        if (store.is_intact(blob))
            Progress(Digest(blob.digest).short_hex()).finish("Already exists");
        else
            missing.push_back(blob);
    }
    in_parallel(missing.size(), parallel_downloads, [&](size_t i) {
        Progress progress(Digest(missing[i].digest).short_hex(), uint64_t(missing[i].size));
        const bool ours = repository.fetch(store, missing[i], progress);
        progress.finish(ours ? "Pull complete" : "Already exists");
    });
}

void remember(const Store& store, const Place& place, const spec::Descriptor& blob) {
    const Digest digest(blob.digest);
    BlobNotes(store, digest).add_repository(place.host, place.repository, digest);
}

}  // namespace

// Before a layer comes.
static void check_trust(const Store& store, const Reference& name, const TrustPolicy& trust,
                        const Found& found) {
    std::vector<spec::Descriptor> chain;
    for (const Repository::Document& index : found.indexes) chain.push_back(index.descriptor);
    chain.push_back(found.document.descriptor);
    RegistrySource source(found.repository, found.document);
    acceptance(trust, source, Origin::registry(name, name.familiar()), keep_in(store))(chain);
}

Image pull(const Store& store, const Reference& name, const TrustPolicy& trust,
           const PullOptions& options) {
    const Lease lease = store.use();
    const Found found = in_first_place(
        name, [&](const Place& place) { return look_in(place, name, options.platform); });
    check_trust(store, name, trust, found);
    const spec::Manifest manifest = read_image(found.document, name);
    std::vector<spec::Descriptor> blobs = manifest.layers;
    blobs.push_back(manifest.config);
    fetch_all(store, *found.repository, blobs);

    const auto put = [&](const Repository::Document& each) {
        return store.put_blob(each.text, each.descriptor.media_type,
                              Digest(each.descriptor.digest).algorithm());
    };
    const spec::Descriptor descriptor = put(found.document);
    const Image image = store.load(descriptor, options.platform);
    // Checks each diff ID: the name comes after it.
    Snapshots(store).unpack(image, Snapshots::Trust::nothing);
    for (const Repository::Document& index : found.indexes) put(index);
    blobs.push_back(descriptor);
    for (const spec::Descriptor& blob : blobs) remember(store, found.repository->place(), blob);
    const bool by_index = found.finds_again && !found.indexes.empty();
    store.tag(by_index ? found.indexes[0].descriptor : descriptor, name);
    return store.load(descriptor, options.platform);
}
