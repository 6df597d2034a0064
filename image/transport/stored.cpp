// The store takes blobs before anybody knows whether they are what the image's config says; the
// name comes after that was found out, which making the image ready does.
#include "image/transport/stored.h"

#include <memory>

#include "base/error.h"
#include "base/sys.h"
#include "image/manifest_list.h"
#include "image/snapshots.h"
#include "image/subject.h"

static Reference referrers_of(Reference image, const std::string& digest) {
    image.tag = tag_of_referrers(digest), image.digest.clear();
    return image;
}

std::optional<std::string> StoreSource::document(const spec::Descriptor& descriptor) {
    if (!store_.has_blob(Digest(descriptor.digest))) return {};
    return store_.read_blob(descriptor);
}

ByteSource StoreSource::open(const spec::Descriptor& blob) {
    const auto file = std::make_shared<UniqueFd>(store_.open_blob(Digest(blob.digest)));
    return [file, bytes = bytes_of(file->get())] { return bytes(); };
}

std::optional<spec::Descriptor> StoreSource::plain(const Digest& diff_id) {
    if (!store_.has_blob(diff_id)) return {};
    const std::string path = store_.blob_path(diff_id);
    return spec::Descriptor{.media_type = std::string(spec::media::layer),
                            .digest = diff_id.text(),
                            .size = sys::lstat(path).st_size};
}

std::vector<spec::Descriptor> StoreSource::referrers(const std::string& digest) {
    if (!name_) return {};
    const auto list = find_list(store_, referrers_of(*name_, digest));
    return list ? list->index.manifests : std::vector<spec::Descriptor>();
}

void StoreSink::expect(const spec::Manifest& image) {
    if (spec::oci_media_type(image.config.media_type) != spec::media::config)
        throw NotAnImage(name_ ? name_->familiar() : "this", " is not an image: its config is ",
                         quoted(image.config.media_type));
    spec::check_layers(image);
    expected_ = image;
}

void StoreSink::put(const spec::Descriptor& blob, const BytesFrom& bytes) {
    if (keeps_parts_)
        go_on_with(blob, bytes);
    else
        take(blob, bytes(0));
    if (expected_ && spec::is_layer(blob.media_type)) prepare(blob);
}

void StoreSink::take(const spec::Descriptor& blob, const ByteSource& bytes) {
    BlobWriter writer = store_.new_blob_for_later(Digest(blob.digest).algorithm());
    for (std::string_view piece = bytes(); !piece.empty(); piece = bytes()) writer.write(piece);
    writer.commit_later(blob.media_type, blob.digest, blob.size);
}

void StoreSink::go_on_with(const spec::Descriptor& blob, const BytesFrom& bytes) {
    std::optional<BlobWriter> writer = store_.resume_blob(blob);
    if (!writer) return;
    const auto take_rest = [&] {
        const ByteSource rest = bytes(writer->size());
        for (std::string_view piece = rest(); !piece.empty(); piece = rest()) writer->write(piece);
    };
    const bool goes_on = writer->size() > 0;
    if (writer->size() < blob.size) take_rest();
    // What a machine that lost its power had of it may be other bytes.
    if (goes_on && writer->digest().text() != blob.digest) {
        writer->restart();
        take_rest();
    }
    writer->commit(blob.media_type, blob.digest, blob.size);
}

// Of the image that is to be run, while others of its blobs come.
void StoreSink::prepare(const spec::Descriptor& blob) {
    const auto& [diff_ids, ids] = expected_layers();
    if (diff_ids.size() != expected_->layers.size()) return;  // which finish() refuses
    for (size_t i = 0; i < ids.size(); ++i)
        if (expected_->layers[i].digest == blob.digest)
            return Snapshots(store_).keep_tar(blob, diff_ids[i], ids[i]);
}

const StoreSink::Layers& StoreSink::expected_layers() {
    const std::lock_guard one_thread(mutex_);
    if (layers_) return *layers_;
    const auto config = context("image config " + expected_->config.digest, [&] {
        return spec::read_image_config(store_.read_blob(expected_->config));
    });
    layers_.emplace();
    layers_->diff_ids =
        std::vector<Digest>(config.rootfs.diff_ids.begin(), config.rootfs.diff_ids.end());
    layers_->chain_ids = chain_ids(layers_->diff_ids);
    return *layers_;
}

void StoreSink::put_document(const spec::Descriptor& descriptor, const std::string& text) {
    store_.put_blob(text, descriptor.media_type, Digest(descriptor.digest).algorithm());
}

void StoreSink::finish(const spec::Descriptor& top) {
    Snapshots(store_).unpack(store_.load(top, platform_), Snapshots::Trust::nothing);
    store_.settle();
    store_.tag(top, name_);
}

StoreReferrerSink::StoreReferrerSink(const Store& store, const Reference& image,
                                     const std::string& subject)
    : StoreSink(store, {}), list_(referrers_of(image, subject)) {}

void StoreReferrerSink::finish(const spec::Descriptor& top) { add_to_list(store_, list_, top); }
