// What is hard: what is handed in as a layer may be anything. It is inflated into a blob of the
// store while a tar reader checks, on the same bytes, that it is a whole tar: junk and half files
// are refused before anything is seen. And an image gets its name when all of it is on the disk and
// its layers were taken for what they say: one that cannot be run is not made.
#include "image/derive.h"

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "base/log.h"
#include "image/layer/erofs_layer.h"
#include "image/layer/inflate.h"

namespace {

struct Copied {
    size_t entries = 0;
    bool is_image = false;  // of EROFS
};

// As many bytes as tell an image from a tar, or all that there are.
std::string read_head(Decoder& plain) {
    std::string head;
    while (head.size() < erofs_head_size) {
        const std::string_view piece = plain.read();
        if (piece.empty()) break;
        head += piece;
    }
    return head;
}

Copied take_image(const ByteSource& bytes, BlobWriter& layer) {
    for (std::string_view piece = bytes(); !piece.empty(); piece = bytes()) layer.write(piece);
    const UniqueFd file = layer.open();
    ErofsLayer image(file.get());
    Copied copied{.is_image = true};
    image.next();  // the root, which each has
    while (image.next()) ++copied.entries;
    return copied;
}

Copied copy_checked(int fd, BlobWriter& layer) {
    const auto plain = make_decoder(bytes_of(fd));
    const std::string head = read_head(*plain);
    const auto bytes = [&, is_given = false]() mutable {
        return std::exchange(is_given, true) ? plain->read() : std::string_view(head);
    };
    if (is_erofs(head)) return take_image(bytes, layer);
    Copied copied;
    read_tar(
        bytes,
        [&](TarStream& tar) {
            while (tar.next()) ++copied.entries;
            if (tar.position() == 0) throw Error("not a tar archive: it is empty");
        },
        [&](std::string_view piece) { layer.write(piece); });
    return copied;
}

}  // namespace

Snapshots::NewLayer take_layer(const Store& store, int fd) {
    BlobWriter blob = store.new_blob_for_later();
    const auto [entries, is_image] = copy_checked(fd, blob);
    log_debug(str("took ", entries, " entries"));
    const Digest diff_id = blob.digest();
    return {.blob = blob.commit_later(is_image ? spec::media::erofs_layer : spec::media::layer),
            .diff_id = diff_id,
            .empty = entries == 0};
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

void note_features(spec::ImageConfig& config, const spec::Manifest& manifest) {
    std::vector<std::string>& features = config.os_features;
    if (std::ranges::any_of(manifest.layers, spec::is_erofs_layer, &spec::Descriptor::media_type) &&
        std::ranges::find(features, "erofs") == features.end())
        features.push_back("erofs");
}

Image publish(const Store& store, Image image, const std::optional<Reference>& name) {
    // Docker's media types have no place in a manifest of the OCI's.
    image.manifest.media_type = spec::media::manifest;
    for (spec::Descriptor& layer : image.manifest.layers)
        if (layer.media_type.starts_with("application/vnd.docker."))
            layer.media_type = spec::oci_media_type(layer.media_type);
    note_features(image.config, image.manifest);
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
