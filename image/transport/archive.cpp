// What is hard: an archive may be a pipe, compressed, of any order. What can be read in place is: a
// plain tar in a regular file has its entries looked up once and its contents read where they lie;
// all else is spooled. And docker's archives have no manifest: one is made of what its config says,
// whose DiffIDs are the digests of its plain layers, so that nothing is read before it is copied.
//
// Written archives never go back: each size is known before its bytes come, and what says what is
// there comes last.
#include "image/transport/archive.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/sys.h"
#include "image/platform.h"
#include "image/transport/docker_items.h"
#include "image/transport/layout.h"

namespace {

constexpr size_t most_links = 8;  // from one to the next

// With the descriptor that its contents are read from.
class OwnedTarFiles : public Files {
public:
    OwnedTarFiles(UniqueFd file, const std::function<void(const std::string&)>& complain)
        : file_(std::move(file)), files_(file_.get(), complain) {}
    std::optional<File> find(const std::string& path) const override { return files_.find(path); }
    ByteSource open(const std::string& path) const override { return files_.open(path); }
    std::vector<std::string> blobs() const override { return files_.blobs(); }

private:
    UniqueFd file_;
    TarFiles files_;
};

bool is_readable_in_place(int fd) {
    return S_ISREG(sys::fstat(fd).st_mode) && ::lseek(fd, 0, SEEK_CUR) == 0 &&
           compression_in(fd).empty();
}

std::string familiar_tag(const Reference& name) {
    return name.familiar_repository() + ":" + name.tag;
}

}  // namespace

std::unique_ptr<const Files> files_of_archive(int fd) {
    UniqueFd file;
    if (is_readable_in_place(fd)) {
        file = UniqueFd(check(::fcntl(fd, F_DUPFD_CLOEXEC, 0), "open the archive again"));
    } else {
        file = nameless_file();
        const auto plain = make_decoder(bytes_of(fd));
        spool([&] { return plain->read(); }, file.get());
    }
    return std::make_unique<OwnedTarFiles>(
        std::move(file), [](const std::string& problem) { throw Error(problem); });
}

// --- docker's, read

DockerArchiveSource::DockerArchiveSource(std::unique_ptr<const Files> files, std::string name,
                                         std::string shown)
    : files_(std::move(files)), name_(std::move(name)), shown_(std::move(shown)) {}

static bool is_called(const DockerItem& item, const std::string& name) {
    const Reference wanted = parse_reference(name);
    return std::ranges::any_of(item.tags, [&](const std::string& tag) {
        return parse_reference(tag).canonical() == wanted.canonical();
    });
}

static const DockerItem& choose(const std::vector<DockerItem>& items, const std::string& name,
                                const std::string& shown) {
    if (items.empty()) throw Error(shown, " has no image");
    if (name.empty() && items.size() > 1)
        throw Error(shown, " has ", items.size(),
                    " images: say which, by a name or as @0, @1 … behind a colon");
    if (name.empty()) return items[0];
    if (name.starts_with('@')) {
        const auto number = parse_number<size_t>(name.substr(1));
        if (!number || *number >= items.size())
            throw Error(shown, " has no image ", name, ": it has ", items.size());
        return items[*number];
    }
    const auto found =
        std::ranges::find_if(items, [&](const auto& item) { return is_called(item, name); });
    if (found == items.end()) throw Error(shown, " has no image ", quoted(name));
    return *found;
}

spec::Descriptor DockerArchiveSource::top() {
    if (!files_->find("manifest.json"))
        throw Error(shown_, " is no docker archive: it has no file \"manifest.json\"");
    const auto items = context(str(shown_, ": manifest.json"), [&] {
        return json::read<std::vector<DockerItem>>(
            json::parse(*read_document(*files_, follow("manifest.json", "list of images"))));
    });
    const DockerItem& item = choose(items, name_, shown_);
    const std::string config_path = follow(item.config, "config");
    const std::string text = *read_document(*files_, config_path);
    const spec::ImageConfig config = context(str(shown_, ": image config ", quoted(item.config)),
                                             [&] { return spec::read_image_config(text); });
    const std::vector<std::string>& diff_ids = config.rootfs.diff_ids;
    if (diff_ids.size() != item.layers.size())
        throw Error(shown_, ": ", item.layers.size(), " layers, but ", diff_ids.size(),
                    " diff_ids");
    spec::Manifest manifest{.media_type = std::string(spec::media::manifest),
                            .config = {.media_type = std::string(spec::media::config),
                                       .digest = digest_of(text).text(),
                                       .size = int64_t(text.size())}};
    paths_[manifest.config.digest] = config_path;
    for (size_t i = 0; i < diff_ids.size(); ++i) {
        const std::string path = follow(item.layers[i], "layer");
        manifest.layers.push_back(layer(path, diff_ids[i]));
        paths_[manifest.layers.back().digest] = path;
    }
    manifest_ = spec::write(manifest);
    return {.media_type = manifest.media_type,
            .digest = digest_of(manifest_).text(),
            .size = int64_t(manifest_.size())};
}

// The regular file that a path leads to: old archives have one layer for several images by links.
std::string DockerArchiveSource::follow(std::string path, const char* what) const {
    for (size_t i = 0; i < most_links; ++i) {
        const auto file = files_->find(path);
        if (!file) throw Error(shown_, " lacks the ", what, " ", quoted(path));
        if (file->kind == Files::File::Kind::regular) return path;
        if (file->kind != Files::File::Kind::link || file->target.empty()) break;
        path = file->target;
    }
    throw Error(shown_, ": the ", what, " ", quoted(path), " is no regular file");
}

spec::Descriptor DockerArchiveSource::layer(const std::string& path,
                                            const std::string& diff_id) const {
    const ByteSource bytes = files_->open(path);
    std::string_view piece = bytes();
    const std::string_view compression = compression_of(piece);
    if (compression.empty())
        return {.media_type = std::string(spec::media::layer),
                .digest = Digest(diff_id).text(),
                .size = files_->find(path)->size};
    const bool is_known = compression == "gzip" || compression == "zstd";
    if (!is_known)
        throw Error(shown_, ": the layer ", quoted(path), " is compressed by ", compression,
                    ", which no media type says: load it and save it");
    Hasher hasher;
    for (; !piece.empty(); piece = bytes()) hasher.update(piece);
    return {.media_type = std::string(compression == "gzip" ? spec::media::layer_gzip
                                                            : spec::media::layer_zstd),
            .digest = hasher.finish().text(),
            .size = files_->find(path)->size};
}

std::optional<std::string> DockerArchiveSource::document(const spec::Descriptor& descriptor) {
    if (descriptor.digest == digest_of(manifest_).text()) return manifest_;
    const auto found = paths_.find(descriptor.digest);
    if (found == paths_.end()) return {};
    return read_document(*files_, found->second);
}

ByteSource DockerArchiveSource::open(const spec::Descriptor& blob) {
    const auto found = paths_.find(blob.digest);
    if (found == paths_.end()) throw Error(shown_, " lacks blob ", blob.digest);
    return files_->open(found->second);
}

// --- written

ArchiveSink::ArchiveSink(ArchiveFormat format, int fd)
    : format_(format), tar_([fd](std::string_view data) {
          context("writing the archive", [&] { sys::write_all(fd, data); });
      }) {}

TakenLayers ArchiveSink::form() const {
    return format_ == ArchiveFormat::docker ? TakenLayers::plain
                                            : TakenLayers::compressed_if_made_up;
}

void ArchiveSink::put(const spec::Descriptor& blob, const BytesFrom& bytes) {
    write(blob, bytes(0));
}

void ArchiveSink::write(const spec::Descriptor& blob, const ByteSource& bytes) {
    const std::string name = layout_path(Digest(blob.digest));
    for (size_t slash = name.find('/'); slash != std::string::npos;
         slash = name.find('/', slash + 1))
        if (const std::string above = name.substr(0, slash + 1); directories_.insert(above).second)
            tar_.entry(
                {.type = TarEntry::Type::directory, .name = above, .target = {}, .mode = 0755});
    tar_.entry({.name = name, .target = {}, .mode = 0644, .size = uint64_t(blob.size)});
    for (std::string_view piece = bytes(); !piece.empty(); piece = bytes()) tar_.data(piece);
    written_.insert(blob.digest);
}

void ArchiveSink::put_document(const spec::Descriptor& descriptor, const std::string& text) {
    if (spec::is_index(descriptor.media_type))
        indexes_[descriptor.digest] = spec::read_index(text);
    else
        manifests_[descriptor.digest] = spec::read_manifest(text);
    if (!has(descriptor)) write(descriptor, bytes_of(text));
}

void ArchiveSink::call(std::vector<Reference> names, std::string layout_name) {
    names_ = std::move(names), layout_name_ = std::move(layout_name);
}

void ArchiveSink::finish(const spec::Descriptor& top) {
    // manifest.json knows no types: its readers would take such a layer for an empty tar.
    if (const spec::Manifest* const image = image_of(top.digest);
        format_ == ArchiveFormat::docker && image &&
        std::ranges::none_of(image->layers, spec::is_erofs_layer, &spec::Descriptor::media_type))
        add_to_items(*image);
    add_to_index(top);
}

// What readers of manifest.json get, which knows no platforms: of an index this machine's image, or
// else the first that is here.
const spec::Manifest* ArchiveSink::image_of(const std::string& digest) const {
    if (const auto found = manifests_.find(digest); found != manifests_.end())
        return &found->second;
    const auto index = indexes_.find(digest);
    if (index == indexes_.end()) return nullptr;
    if (const spec::Descriptor* const ours = find_platform(index->second, ""))
        if (const spec::Manifest* const image = image_of(ours->digest)) return image;
    for (const spec::Descriptor& entry : index->second.manifests)
        if (const spec::Manifest* const image = image_of(entry.digest)) return image;
    return nullptr;
}

void ArchiveSink::add_to_index(const spec::Descriptor& top) {
    const spec::Descriptor plain{
        .media_type = top.media_type, .digest = top.digest, .size = top.size};
    if (names_.empty()) index_.push_back(named_entry(plain, layout_name_));
    for (const Reference& name : names_) {
        // Docker has only the tag there, podman the whole name: each form as its tools have it.
        index_.push_back(
            named_entry(plain, format_ == ArchiveFormat::oci ? name.canonical() : name.tag));
        index_.back().annotations["io.containerd.image.name"] = name.canonical();
    }
}

void ArchiveSink::add_to_items(const spec::Manifest& manifest) {
    DockerItem item{
        .config = layout_path(Digest(manifest.config.digest)), .tags = {}, .layers = {}};
    for (const spec::Descriptor& layer : manifest.layers)
        item.layers.push_back(layout_path(Digest(layer.digest)));
    for (const Reference& name : names_) {
        item.tags.push_back(familiar_tag(name));
        if (!manifest.layers.empty())
            repositories_[name.familiar_repository()][name.tag] =
                Digest(manifest.layers.back().digest).hex();
    }
    items_.push_back(std::move(item));
}

void ArchiveSink::document(const std::string& name, const std::string& text) {
    tar_.entry({.name = name, .target = {}, .mode = 0644, .size = text.size()});
    tar_.data(text);
}

void ArchiveSink::close() {
    document("index.json", spec::write(spec::Index{.media_type = std::string(spec::media::index),
                                                   .manifests = index_}));
    if (!items_.empty()) {
        document("manifest.json", json::dump(json::write(items_)));
        if (!repositories_.empty())
            document("repositories", json::dump(json::write(repositories_)));
    }
    document("oci-layout", std::string(layout_text));
    tar_.finish();
}
