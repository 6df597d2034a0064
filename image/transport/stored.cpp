// The store takes blobs before anybody knows whether they are what the image's config says; the
// name comes after that was found out, which making the image ready does.
#include "image/transport/stored.h"

#include <memory>

#include "base/error.h"
#include "base/sys.h"
#include "image/snapshots.h"

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

void StoreSink::put(const spec::Descriptor& blob, const ByteSource& bytes) {
    BlobWriter writer = store_.new_blob_for_later(Digest(blob.digest).algorithm());
    for (std::string_view piece = bytes(); !piece.empty(); piece = bytes()) writer.write(piece);
    writer.commit_later(blob.media_type, blob.digest, blob.size);
}

void StoreSink::put_document(const spec::Descriptor& descriptor, const std::string& text) {
    store_.put_blob(text, descriptor.media_type, Digest(descriptor.digest).algorithm());
}

void StoreSink::finish(const spec::Descriptor& top) {
    Snapshots(store_).unpack(store_.load(top, platform_), Snapshots::Trust::nothing);
    store_.tag(top, name_);
}
