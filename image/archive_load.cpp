// Reading image archives. Three families come: docker's (manifest.json names a config and layers by
// path; an old one has symlinks from one image's layer.tar to another's), OCI layouts in a tar, and
// both at once. Any order of entries is possible and the input may be a pipe, so everything is
// taken in first (archive_contents.h). Only when all that was named has been found and verified is
// anything published.
//
// Whose word counts: where a layout and manifest.json describe the same config they must list the
// same layers; if not (docker 25.0.0 wrote its OCI layers in random order) manifest.json is right.
#include <algorithm>
#include <map>
#include <set>

#include "image/archive.h"
#include "image/archive_contents.h"
#include "image/platform.h"
#include "image/snapshots.h"
#include "image/transport/docker_items.h"
#include "image/transport/layout.h"
#include "image/trust/judge.h"

namespace {

using File = ArchiveContents::File;

constexpr size_t most_depth = 8;  // of indexes in indexes

// An image as it will be published: everything is there and verified.
struct Planned {
    std::string manifest, media_type;                       // the document's bytes
    std::string algorithm = "sha256";                       // of its digest
    std::vector<spec::Descriptor> chain;                    // that led to it; none: it is made up
    std::vector<std::pair<spec::Descriptor, File*>> blobs;  // nullptr: the store has it already
    spec::Manifest parsed;
    std::vector<Reference> names;
    std::set<std::string> known;  // those, as they are shown

    void call(const Reference& name) {
        if (known.insert(name.familiar()).second) names.push_back(name);
    }
};

class Planner {
public:
    Planner(const Store& store, ArchiveContents& contents) : store_(store), contents_(contents) {}

    std::vector<Planned> plan() {
        const auto items = context("manifest.json", [&] { return read_items(); });
        for (const DockerItem& item : items.value_or(std::vector<DockerItem>{}))
            if (const File* config = contents_.find(item.config))
                configs_of_items_.insert(config->digest.text());
        const auto index = contents_.document("index.json");
        if (!items && !index)
            throw Error("not an image archive: it has neither manifest.json nor index.json");
        if (index && contents_.find("oci-layout"))
            context("index.json", [&] { plan_index(spec::read_index(*index)); });
        for (const DockerItem& item : items.value_or(std::vector<DockerItem>{}))
            context("manifest.json", [&] { plan_item(item); });
        if (images_.empty()) throw Error("the archive holds no image");
        return std::move(images_);
    }

private:
    std::optional<std::vector<DockerItem>> read_items() {
        const auto text = contents_.document("manifest.json");
        if (!text) return {};
        return json::read<std::vector<DockerItem>>(json::parse(*text));
    }

    // Some write the platforms of an image as entries of one name, without an index around them:
    // the name is that of the one for this machine.
    void plan_index(const spec::Index& index) {
        std::map<std::string, spec::Index> named;
        for (const spec::Descriptor& entry : index.manifests)
            if (const auto name = name_from(entry.annotations); name && entry.platform)
                named[name->canonical()].manifests.push_back(entry);
        for (const spec::Descriptor& entry : index.manifests) {
            const auto name = name_from(entry.annotations);
            if (name && entry.platform) {
                const spec::Index& platforms = named.at(name->canonical());
                if (platforms.manifests.size() > 1 && !is_chosen(platforms, entry)) continue;
            }
            const auto leaf = follow(entry, 0);
            if (!leaf) continue;
            std::vector<spec::Descriptor> chain = {entry};
            if (leaf->digest != entry.digest) chain.push_back(*leaf);
            plan_manifest(std::move(chain), entry.annotations);
        }
    }

    static bool is_chosen(const spec::Index& platforms, const spec::Descriptor& entry) {
        const spec::Descriptor* const found = find_platform(platforms, "");
        if (!found)
            throw Error("no image for platform ", host_platform(), " has the name that ",
                        entry.digest, " and others have");
        return found->digest == entry.digest;
    }

    // The image manifest an entry means: of an index the one for this machine, else its only one.
    // Nothing for what is no image (signatures, attestations), or is said to be elsewhere.
    std::optional<spec::Descriptor> follow(const spec::Descriptor& entry, size_t depth) {
        if (depth > most_depth) throw Error("indexes are nested too deeply");
        const auto type = spec::oci_media_type(entry.media_type);
        if (type == spec::media::manifest) return entry;
        if (type != spec::media::index) return {};
        const spec::Index index = spec::read_index(document(entry));
        if (const spec::Descriptor* found = find_platform(index, "");
            found && contents_.find_blob(found->digest))
            return *found;
        std::vector<spec::Descriptor> present;
        for (const spec::Descriptor& child : index.manifests) {
            if (child.platform && child.platform->os == "unknown") continue;
            if (contents_.find_blob(child.digest)) present.push_back(child);
        }
        if (present.size() != 1)
            throw Error("no image for platform ", host_platform(), " in ", entry.digest);
        return follow(present[0], depth + 1);
    }

    std::string document(const spec::Descriptor& descriptor) {
        File* const file = contents_.find_blob(descriptor.digest);
        if (!file) throw Error("the archive lacks ", descriptor.digest);
        verify(descriptor, *file);
        if (file->blob)
            throw Error(descriptor.digest, " is too large for a document (", file->size, " bytes)");
        return file->data;
    }

    static void verify(const spec::Descriptor& descriptor, File& file) {
        if (file.size != descriptor.size)
            throw Error(descriptor.digest, " has ", file.size, " bytes instead of ",
                        descriptor.size);
        if (file.digest.text() != descriptor.digest)
            throw Error("the content of ", descriptor.digest,
                        " has another digest: ", file.digest.text());
    }

    void plan_manifest(std::vector<spec::Descriptor> chain, const spec::StringMap& annotations) {
        const spec::Descriptor descriptor = chain.back();
        Planned image;
        image.chain = std::move(chain);
        image.manifest = document(descriptor);
        image.parsed = spec::read_manifest(image.manifest);
        image.media_type = descriptor.media_type;
        image.algorithm = Digest(descriptor.digest).algorithm();
        if (spec::oci_media_type(image.parsed.config.media_type) != spec::media::config ||
            holds_no_layer(image.parsed))
            return;  // an artifact, such as a signature
        context("manifest " + descriptor.digest, [&] { spec::check_layers(image.parsed); });
        add_blob(image, image.parsed.config);
        for (const spec::Descriptor& layer : image.parsed.layers) add_blob(image, layer);
        const spec::ImageConfig config = config_of(image.parsed);
        // Docker 25.0 wrote manifests without layers beside a manifest.json that has them.
        if (!configs_of_items_.contains(image.parsed.config.digest))
            check_config(image.parsed, config);
        if (const auto name = name_from(annotations)) image.call(*name);
        add(std::move(image));
    }

    static bool holds_no_layer(const spec::Manifest& manifest) {
        return !manifest.layers.empty() &&
               std::ranges::none_of(manifest.layers, [](const spec::Descriptor& layer) {
                   return spec::is_layer(layer.media_type);
               });
    }

    void add_blob(Planned& image, const spec::Descriptor& blob) {
        File* const file = contents_.find_blob(blob.digest);
        if (file)
            verify(blob, *file);
        else if (!store_.is_intact(blob))
            throw Error("the archive lacks ", blob.digest);
        image.blobs.emplace_back(blob, file);
    }

    spec::ImageConfig config_of(const spec::Manifest& manifest) {
        const File* const file = contents_.find_blob(manifest.config.digest);
        const std::string text =
            file ? document(manifest.config) : store_.read_blob(manifest.config);
        return context("image config", [&] { return spec::read_image_config(text); });
    }

    static void check_config(const spec::Manifest& manifest, const spec::ImageConfig& config) {
        if (config.rootfs.type != "layers")
            throw Error("image config: rootfs: type: is ", ::quoted(config.rootfs.type),
                        ", but must be \"layers\"");
        if (config.rootfs.diff_ids.size() != manifest.layers.size())
            throw Error("invalid image: ", manifest.layers.size(), " layers, but ",
                        config.rootfs.diff_ids.size(), " diff_ids");
        for (const std::string& diff_id : config.rootfs.diff_ids) Digest{diff_id};
    }

    // containerd's annotation is a whole name. ref.name may be one, or only a tag, which names
    // nothing.
    static std::optional<Reference> name_from(const spec::StringMap& annotations) {
        if (const auto name = annotations.find("io.containerd.image.name");
            name != annotations.end())
            return parse_tag(name->second);
        const auto name = annotations.find("org.opencontainers.image.ref.name");
        if (name == annotations.end() || name->second.find_first_of(":/") == std::string::npos)
            return {};
        return parse_tag(name->second);
    }

    // What an archive may call its image: a name with a tag. A digest is not its to say.
    static Reference parse_tag(const std::string& text) {
        Reference name = parse_reference(text);
        if (!name.digest.empty())
            throw Error("invalid tag ", ::quoted(text), ": a tag cannot have a digest");
        return name;
    }

    void plan_item(const DockerItem& item) {
        File* const config_file = contents_.find(item.config);
        if (!config_file) throw Error("the archive lacks the config ", ::quoted(item.config));
        if (config_file->blob)
            throw Error("the config ", ::quoted(item.config), " is too large or not JSON");
        const auto config =
            context("image config", [&] { return spec::read_image_config(config_file->data); });
        Planned image;
        image.media_type = spec::media::manifest;
        image.parsed.media_type = image.media_type;
        image.parsed.config = {.media_type = std::string(spec::media::config),
                               .digest = config_file->digest.text(),
                               .size = config_file->size};
        image.blobs.emplace_back(image.parsed.config, config_file);
        for (size_t i = 0; i < item.layers.size(); ++i) {
            const spec::Descriptor layer = plan_layer(
                item.layers[i], i < config.rootfs.diff_ids.size() ? config.rootfs.diff_ids[i] : "",
                image);
            image.parsed.layers.push_back(layer);
        }
        check_config(image.parsed, config);
        image.manifest = spec::write(image.parsed);
        for (const std::string& tag : item.tags) image.call(parse_tag(tag));
        add_or_merge(std::move(image));
    }

    spec::Descriptor plan_layer(const std::string& path, const std::string& diff_id,
                                Planned& image) {
        static constexpr std::pair<std::string_view, std::string_view> types[] = {
            {"", spec::media::layer},
            {"gzip", spec::media::layer_gzip},
            {"zstd", spec::media::layer_zstd}};
        File* file = contents_.find(path);
        if (!file) throw Error("the archive lacks the layer ", ::quoted(path));
        // Docker's load inflates these two. No media type of a layer says them: it is kept plain.
        if (file->compression == "xz" || file->compression == "bzip2")
            file = &contents_.inflate(path);
        const auto* type =
            std::ranges::find(types, file->compression, [](const auto& row) { return row.first; });
        if (type == std::end(types))
            throw Error("the layer ", ::quoted(path), " is compressed twice");
        // Of a compressed one the diff ID is checked when it is unpacked, before the image gets its
        // name.
        const bool is_comparable =
            file->compression.empty() &&
            (!Digest::is_valid(diff_id) || Digest(diff_id).algorithm() == file->digest.algorithm());
        if (is_comparable && file->digest.text() != diff_id)
            throw Error("invalid diffID for layer ", ::quoted(path), ": expected ", diff_id,
                        ", got ", file->digest.text());
        const spec::Descriptor layer{.media_type = std::string(type->second),
                                     .digest = file->digest.text(),
                                     .size = file->size};
        image.blobs.emplace_back(layer, file);
        return layer;
    }

    static bool same_layers(const spec::Manifest& a, const spec::Manifest& b) {
        return std::ranges::equal(a.layers, b.layers, {}, &spec::Descriptor::digest,
                                  &spec::Descriptor::digest);
    }
    void add(Planned image) {
        for (Planned& other : images_)
            if (other.manifest == image.manifest) {
                merge_names(other, image);
                return;
            }
        images_.push_back(std::move(image));
    }
    void add_or_merge(Planned image) {
        for (Planned& other : images_) {
            if (other.parsed.config.digest != image.parsed.config.digest) continue;
            merge_names(image, other);
            // The layout's manifest keeps its digest if it lists what manifest.json does.
            if (same_layers(other.parsed, image.parsed))
                other.names = image.names, other.known = image.known;
            else
                other = std::move(image);
            return;
        }
        images_.push_back(std::move(image));
    }
    static void merge_names(Planned& to, const Planned& from) {
        for (const Reference& name : from.names) to.call(name);
    }

    const Store& store_;
    ArchiveContents& contents_;
    std::set<std::string> configs_of_items_;  // their digests
    std::vector<Planned> images_;
};

// --- trust

// The archive's files, for who looks for signatures among them.
class ContentsFiles : public Files {
public:
    explicit ContentsFiles(ArchiveContents& contents) : contents_(contents) {}
    std::optional<Files::File> find(const std::string& path) const override {
        const ArchiveContents::File* const file = contents_.find(path);
        if (!file || file->blob) return {};
        return Files::File{.size = file->size};
    }
    ByteSource open(const std::string& path) const override {
        return bytes_of(contents_.find(path)->data);
    }
    std::vector<std::string> blobs() const override { return {}; }

private:
    ArchiveContents& contents_;
};

// What docker's archives have: they know no signatures.
class NothingBeside : public ImageSource {
public:
    spec::Descriptor top() override { throw Error("it is made up"); }
    std::optional<std::string> document(const spec::Descriptor&) override { return {}; }
    ByteSource open(const spec::Descriptor&) override { throw Error("it is made up"); }
};

// Under each name that it gets, if it gets one.
void check_trust_in(const Store& store, ArchiveContents& contents, const Planned& image,
                    const TrustPolicy& trust, const std::string& path) {
    LayoutSource place(std::make_unique<ContentsFiles>(contents), "", "the archive");
    NothingBeside nothing;
    const bool is_made_up = image.chain.empty();
    std::vector<spec::Descriptor> chain = image.chain;
    if (is_made_up)
        chain = {{.media_type = image.media_type,
                  .digest = digest_of(image.manifest, image.algorithm).text(),
                  .size = int64_t(image.manifest.size())}};
    std::vector<std::optional<Reference>> names(image.names.begin(), image.names.end());
    if (names.empty()) names.emplace_back();
    for (const std::optional<Reference>& name : names) {
        Origin origin = Origin::file(is_made_up ? "docker-archive" : "oci-archive", path,
                                     name ? name->familiar() : chain.back().digest);
        origin.name = name;
        acceptance(trust, is_made_up ? static_cast<ImageSource&>(nothing) : place, origin,
                   keep_in(store))(chain);
    }
}

// --- publishing

// `done` are the files that another image of the archive shares, and brought in already.
spec::Descriptor publish(const Store& store, Planned& image, std::set<const File*>& done) {
    for (auto& [blob, file] : image.blobs) {
        if (!file || !done.insert(file).second) continue;
        if (!file->blob)
            store.put_blob(file->data, blob.media_type, file->digest.algorithm());
        else
            file->blob->commit_later(blob.media_type, blob.digest, blob.size);
    }
    return store.put_blob(image.manifest, image.media_type, image.algorithm);
}

}  // namespace

std::vector<Loaded> load_archive(const Store& store, int fd, const TrustPolicy& trust,
                                 const std::string& path) {
    const Lease lease = store.use();
    return context("loading the archive", [&] {
        ArchiveContents contents(store, fd);
        std::vector<Planned> images = Planner(store, contents).plan();
        for (const Planned& image : images) check_trust_in(store, contents, image, trust, path);

        std::vector<spec::Descriptor> manifests;
        std::set<const File*> done;
        for (Planned& image : images) manifests.push_back(publish(store, image, done));
        // Unpacking checks each diff ID, and that every layer is what it says: names come after it.
        for (const spec::Descriptor& manifest : manifests)
            Snapshots(store).unpack(store.load(manifest), Snapshots::Trust::nothing);

        std::vector<Loaded> out;
        std::vector<Naming> namings;
        for (size_t i = 0; i < images.size(); ++i) {
            Loaded loaded{.names = {}, .id = Digest(images[i].parsed.config.digest)};
            for (const Reference& name : images[i].names) {
                namings.push_back({manifests[i], name});
                loaded.names.push_back(name.familiar());
            }
            if (images[i].names.empty()) namings.push_back({manifests[i], {}});
            out.push_back(std::move(loaded));
        }
        store.tag(namings);  // all of them, or none
        return out;
    });
}
