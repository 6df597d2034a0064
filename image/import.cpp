// A tarball of a root file system becomes the one layer of an image. It is inflated into a blob of
// the store while a tar reader checks, on the same bytes, that it is a whole tar: junk and half
// files are refused before anything is seen.
#include "base/error.h"
#include "base/log.h"
#include "image/archive.h"
#include "image/changes.h"
#include "image/layer/decoder.h"
#include "image/layer/tar_stream.h"
#include "image/snapshots.h"

namespace {

void copy_checked(int fd, BlobWriter& layer) {
    const auto plain = make_decoder(bytes_of(fd));
    const auto pass_on = [&] {
        const std::string_view piece = plain->read();
        if (!piece.empty()) layer.write(piece);
        return piece;
    };
    TarStream tar(pass_on);
    size_t entries = 0;
    while (tar.next()) ++entries;
    if (tar.position() == 0) throw Error("not a tar archive: it is empty");
    while (!pass_on().empty()) {
    }  // what follows the end mark is part of the digest
    log_debug(str("imported ", entries, " entries"));
}

}  // namespace

Image import_rootfs(const Store& store, int fd, const std::optional<Reference>& name,
                    const std::vector<std::string>& changes, const std::string& message) {
    spec::ImageConfig config{
        .created = rfc3339_now(), .architecture = host_architecture(), .os = "linux"};
    for (const std::string& change : changes) apply_change(config.config, change);
    config.history = {
        {.created = config.created, .comment = message.empty() ? "Imported from -" : message}};

    const Lease lease = store.use();
    BlobWriter layer = store.new_blob_for_later();
    context("importing the root file system", [&] { copy_checked(fd, layer); });
    const Digest diff_id = layer.digest();
    config.rootfs.diff_ids = {diff_id.text()};

    spec::Manifest manifest{.media_type = std::string(spec::media::manifest)};
    manifest.layers = {layer.commit_later(spec::media::layer)};
    manifest.config = store.put_blob(spec::write(config), spec::media::config);
    const spec::Descriptor descriptor =
        store.put_blob(spec::write(manifest), spec::media::manifest);
    const Image image = store.load(descriptor);
    Snapshots(store).unpack(image, Snapshots::Trust::nothing);
    store.tag(descriptor, name);
    return store.load(descriptor);
}
