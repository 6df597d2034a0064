// What is hard: what is handed in as a layer may be anything. It is inflated into a blob of the
// store while a tar reader checks, on the same bytes, that it is a whole tar: junk and half files
// are refused before anything is seen. And an image gets its name when all of it is on the disk and
// its layers were taken for what they say: one that cannot be run is not made.
#include "image/derive.h"

#include <cstdlib>

#include "base/error.h"
#include "base/log.h"
#include "image/layer/inflate.h"

namespace {

size_t copy_checked(int fd, BlobWriter& layer) {
    const auto plain = make_decoder(bytes_of(fd));
    size_t entries = 0;
    read_tar([&] { return plain->read(); },
             [&](TarStream& tar) {
                 while (tar.next()) ++entries;
                 if (tar.position() == 0) throw Error("not a tar archive: it is empty");
             },
             [&](std::string_view piece) { layer.write(piece); });
    log_debug(str("took ", entries, " entries"));
    return entries;
}

}  // namespace

Snapshots::NewLayer take_layer(const Store& store, int fd) {
    BlobWriter blob = store.new_blob_for_later();
    const size_t entries = copy_checked(fd, blob);
    const Digest diff_id = blob.digest();
    return {
        .blob = blob.commit_later(spec::media::layer), .diff_id = diff_id, .empty = entries == 0};
}

std::optional<int64_t> source_date() {
    const char* text = ::getenv("SOURCE_DATE_EPOCH");
    if (!text || !*text) return {};
    const auto seconds = parse_number<uint32_t>(text);
    if (!seconds) throw Error("SOURCE_DATE_EPOCH: ", quoted(text), " is no number of seconds");
    return *seconds;
}

std::string creation_time() {
    const auto seconds = source_date();
    return seconds ? rfc3339(*seconds * 1'000'000'000) : rfc3339_now();
}

spec::History note_change(Image& image, const ChangeWords& words) {
    image.config.created = creation_time();
    if (!words.author.empty()) image.config.author = words.author;
    return {.created = image.config.created,
            .author = image.config.author,
            .created_by = words.created_by,
            .comment = words.message};
}

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
    const spec::Descriptor descriptor =
        store.put_blob(spec::write(image.manifest), spec::media::manifest);
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
