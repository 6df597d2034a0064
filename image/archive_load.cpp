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
#include "image/documents.h"
#include "image/platform.h"
#include "image/snapshots.h"
#include "image/transport/docker_items.h"
#include "image/transport/layout.h"
#include "image/trust/judge.h"

namespace {

using File = ArchiveContents::File;

// A manifest of which all is there and verified.
struct Part {
    spec::Descriptor descriptor;
    std::string text;
    spec::Manifest parsed;
    std::vector<spec::Descriptor> chain = {};  // that led to it; none: it is made up
    std::vector<std::pair<spec::Descriptor, File*>> blobs = {};  // nullptr: the store has it

    bool is_image() const {
        const auto is_layer = [](const auto& layer) { return spec::is_layer(layer.media_type); };
        const bool is_attestation = descriptor.platform && descriptor.platform->os == "unknown";
        return !is_attestation &&
               spec::oci_media_type(parsed.config.media_type) == spec::media::config &&
               (parsed.layers.empty() || std::ranges::any_of(parsed.layers, is_layer));
    }
    bool has_layers_of(const Part& other) const {
        return std::ranges::equal(parsed.layers, other.parsed.layers, {}, &spec::Descriptor::digest,
                                  &spec::Descriptor::digest);
    }
};

// An image as it will be published: for one platform, or for several with their index.
struct Planned {
    spec::Descriptor named;            // what its names mean
    std::vector<Part> parts;           // the first is an image, this machine's if there is one
    std::vector<Document> above = {};  // indexes, the innermost first
    std::vector<Reference> names = {};
    std::set<std::string> known = {};  // those, as they are shown

    void call(const Reference& name) {
        if (known.insert(name.familiar()).second) names.push_back(name);
    }
    void call_as(const Planned& other) {
        for (const Reference& name : other.names) call(name);
    }
    const Part* find_config(const std::string& digest) const {
        const auto config = [](const Part& part) { return part.parsed.config.digest; };
        const auto found = std::ranges::find(parts, digest, config);
        return found == parts.end() ? nullptr : &*found;
    }
};

// The archive's files, for who looks for documents among them.
class ContentsFiles : public Files {
public:
    explicit ContentsFiles(ArchiveContents& contents) : contents_(contents) {}
    std::optional<Files::File> find(const std::string& path) const override {
        const ArchiveContents::File* const file = contents_.find(path);
        if (!file) return {};
        return Files::File{.size = file->size};
    }
    ByteSource open(const std::string& path) const override {
        const ArchiveContents::File& file = *contents_.find(path);
        if (!file.blob) return bytes_of(file.data);
        const auto fd = std::make_shared<UniqueFd>(file.blob->open());
        return [fd, bytes = bytes_of(fd->get())] { return bytes(); };
    }
    std::vector<std::string> blobs() const override { return {}; }

private:
    ArchiveContents& contents_;
};

class Planner {
public:
    Planner(const Store& store, ArchiveContents& contents, ImageSource& place)
        : store_(store), contents_(contents), documents_(place) {}

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
            plan_entry(entry, name);
        }
    }

    static bool is_chosen(const spec::Index& platforms, const spec::Descriptor& entry) {
        const spec::Descriptor* const found = find_platform(platforms, "");
        if (!found)
            throw Error("no image for platform ", host_platform(), " has the name that ",
                        entry.digest, " and others have");
        return found->digest == entry.digest;
    }

    // --- an entry of the layout

    static bool is_document(const spec::Descriptor& entry) {
        const auto type = spec::oci_media_type(entry.media_type);
        return type == spec::media::manifest || type == spec::media::index;
    }

    // Nothing comes of what is no image: signatures, attestations.
    void plan_entry(const spec::Descriptor& entry, const std::optional<Reference>& name) {
        if (!is_document(entry)) return;
        const auto [known, is_new] = planned_.try_emplace(entry.digest);
        if (!is_new) {
            if (name && known->second) images_[*known->second].call(*name);
            return;
        }
        if (entry.data.empty() && !contents_.find_blob(entry.digest))
            throw Error("the archive lacks ", entry.digest);
        Document top = documents_.read(entry);
        documents_.read_children(top, [&](const spec::Descriptor& child) {
            return is_document(child) && contents_.find_blob(child.digest);
        });
        std::optional<Planned> image = planned(top);
        if (!image) return;
        if (name) image->call(*name);
        known->second = images_.size();
        images_.push_back(std::move(*image));
    }

    std::optional<Planned> planned(const Document& top) {
        const Meant meant = meant_by(top);
        Planned image{.named = top.descriptor, .parts = {}};
        // An index that leads this machine nowhere gives way to the one image that is here of it.
        if (meant.image && !meant.is_ours) {
            image.named = meant.image->descriptor;
            add_part(image, *meant.image, meant.chain, true);
        } else {
            add_parts(image, top, {}, meant.image);
        }
        // From here an image without parts is none: what was meant is an artifact.
        const auto ours = std::ranges::find_if(image.parts, [&](const Part& part) {
            return part.is_image() &&
                   (!meant.image || part.descriptor.digest == meant.image->descriptor.digest);
        });
        if (ours == image.parts.end()) {
            if (!meant.image) throw_nothing_for_us(top);
            return {};
        }
        std::iter_swap(image.parts.begin(), ours);
        return image;
    }

    // The image that an entry means: of an index the one for this machine, else its only one.
    struct Meant {
        const Document* image;  // nullptr: there are several, all of them others'
        bool is_ours = true;    // the index has it for this machine
        std::vector<spec::Descriptor> chain = {};
    };
    static Meant meant_by(const Document& top) {
        Meant meant{&top};
        for (;;) {
            meant.chain.push_back(meant.image->descriptor);
            const Document& at = *meant.image;
            if (!at.index) return meant;
            const spec::Descriptor* const found = find_platform(*at.index, "");
            const auto ours = std::ranges::find_if(at.children, [&](const Document& child) {
                return found && child.descriptor.digest == found->digest;
            });
            meant.is_ours &= ours != at.children.end();
            meant.image = ours != at.children.end() ? &*ours : only_one(at);
            if (!meant.image) return meant;
        }
    }
    static const Document* only_one(const Document& index) {
        const Document* found = nullptr;
        for (const Document& child : index.children) {
            const auto& platform = child.descriptor.platform;
            if (platform && platform->os == "unknown") continue;
            if (found) return nullptr;
            found = &child;
        }
        if (!found) throw_nothing_for_us(index);
        return found;
    }
    [[noreturn]] static void throw_nothing_for_us(const Document& index) {
        throw Error("no image for platform ", host_platform(), " in ", index.descriptor.digest);
    }

    // All that is whole; what was meant must be.
    void add_parts(Planned& image, const Document& document, std::vector<spec::Descriptor> chain,
                   const Document* meant) {
        chain.push_back(document.descriptor);
        if (document.manifest) return add_part(image, document, chain, &document == meant);
        for (const Document& child : document.children) add_parts(image, child, chain, meant);
        image.above.push_back({.descriptor = document.descriptor, .text = document.text});
    }

    void add_part(Planned& image, const Document& document,
                  const std::vector<spec::Descriptor>& chain, bool is_needed) {
        Part part{document.descriptor, document.text, *document.manifest, chain};
        if (is_needed && !part.is_image()) return;
        context("manifest " + document.descriptor.digest, [&] {
            if (part.is_image()) spec::check_layers(part.parsed);
        });
        if (!is_needed && !has_all(part.parsed)) return;
        add_blob(part, part.parsed.config);
        for (const spec::Descriptor& layer : part.parsed.layers) add_blob(part, layer);
        // Docker 25.0 wrote manifests without layers beside a manifest.json that has them.
        if (part.is_image() && !configs_of_items_.contains(part.parsed.config.digest))
            check_config(part.parsed, config_of(part.parsed));
        image.parts.push_back(std::move(part));
    }

    bool has_all(const spec::Manifest& manifest) const {
        const auto has = [&](const spec::Descriptor& blob) {
            return contents_.find_blob(blob.digest) || store_.has_blob(Digest(blob.digest));
        };
        return has(manifest.config) && std::ranges::all_of(manifest.layers, has);
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

    void add_blob(Part& part, const spec::Descriptor& blob) {
        File* const file = contents_.find_blob(blob.digest);
        if (file)
            verify(blob, *file);
        else if (!store_.is_intact(blob))
            throw Error("the archive lacks ", blob.digest);
        part.blobs.emplace_back(blob, file);
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
        Part part{};
        part.parsed.media_type = spec::media::manifest;
        part.parsed.config = {.media_type = std::string(spec::media::config),
                              .digest = config_file->digest.text(),
                              .size = config_file->size};
        part.blobs.emplace_back(part.parsed.config, config_file);
        for (size_t i = 0; i < item.layers.size(); ++i) {
            const spec::Descriptor layer = plan_layer(
                item.layers[i], i < config.rootfs.diff_ids.size() ? config.rootfs.diff_ids[i] : "",
                part);
            part.parsed.layers.push_back(layer);
        }
        check_config(part.parsed, config);
        part.text = spec::write(part.parsed);
        part.descriptor = {.media_type = part.parsed.media_type,
                           .digest = digest_of(part.text).text(),
                           .size = int64_t(part.text.size())};
        Planned image{.named = part.descriptor, .parts = {std::move(part)}};
        for (const std::string& tag : item.tags) image.call(parse_tag(tag));
        add_or_merge(std::move(image));
    }

    spec::Descriptor plan_layer(const std::string& path, const std::string& diff_id, Part& part) {
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
        part.blobs.emplace_back(layer, file);
        return layer;
    }

    void add_or_merge(Planned image) {
        const Part& part = image.parts[0];
        for (Planned& other : images_) {
            const Part* const same = other.find_config(part.parsed.config.digest);
            if (!same) continue;
            image.call_as(other);
            // The layout's manifest keeps its digest if it lists what manifest.json does.
            if (same->has_layers_of(part))
                other.names = image.names, other.known = image.known;
            else
                other = std::move(image);
            return;
        }
        images_.push_back(std::move(image));
    }

    const Store& store_;
    ArchiveContents& contents_;
    Documents documents_;
    std::set<std::string> configs_of_items_;                // their digests
    std::map<std::string, std::optional<size_t>> planned_;  // entries, as which of
    std::vector<Planned> images_;
};

// --- trust

// What docker's archives have: they know no signatures.
class NothingBeside : public ImageSource {
public:
    spec::Descriptor top() override { throw Error("it is made up"); }
    std::optional<std::string> document(const spec::Descriptor&) override { return {}; }
    ByteSource open(const spec::Descriptor&) override { throw Error("it is made up"); }
};

// Under each name that it gets, if it gets one.
void check_trust_in(const Store& store, ImageSource& place, const Planned& image, const Part& part,
                    const TrustPolicy& trust, const std::string& path) {
    NothingBeside nothing;
    const bool is_made_up = part.chain.empty();
    const std::vector<spec::Descriptor> chain =
        is_made_up ? std::vector{part.descriptor} : part.chain;
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

class Publishing {
public:
    explicit Publishing(const Store& store) : store_(store) {}
    // What names a document goes behind it.
    void put(Planned& image) {
        for (Part& part : image.parts) {
            for (auto& [blob, file] : part.blobs) put_blob(blob, file);
            put_document(part.descriptor, part.text);
        }
        for (const Document& index : image.above) put_document(index.descriptor, index.text);
    }

private:
    void put_blob(const spec::Descriptor& blob, File* file) {
        if (!file || !done_.insert(file).second) return;
        if (!file->blob)
            store_.put_blob(file->data, blob.media_type, file->digest.algorithm());
        else
            file->blob->commit_later(blob.media_type, blob.digest, blob.size);
    }
    void put_document(const spec::Descriptor& descriptor, const std::string& text) {
        store_.put_blob(text, descriptor.media_type, Digest(descriptor.digest).algorithm());
    }

    const Store& store_;
    std::set<const File*> done_;  // which several images of the archive may share
};

}  // namespace

std::vector<Loaded> load_archive(const Store& store, int fd, const TrustPolicy& trust,
                                 const std::string& path) {
    const Lease lease = store.use();
    return context("loading the archive", [&] {
        ArchiveContents contents(store, fd);
        LayoutSource place(std::make_unique<ContentsFiles>(contents), "", "the archive");
        std::vector<Planned> images = Planner(store, contents, place).plan();
        for (const Planned& image : images)
            for (const Part& part : image.parts)
                if (part.is_image()) check_trust_in(store, place, image, part, trust, path);

        Publishing publishing(store);
        for (Planned& image : images) publishing.put(image);
        // Unpacking checks each diff ID, and that every layer is what it says: names come after it.
        for (const Planned& image : images)
            Snapshots(store).unpack(store.load(image.parts[0].descriptor),
                                    Snapshots::Trust::nothing);

        std::vector<Loaded> out;
        std::vector<Naming> namings;
        for (const Planned& image : images) {
            Loaded loaded{.names = {}, .id = Digest(image.parts[0].parsed.config.digest)};
            for (const Reference& name : image.names) {
                namings.push_back({image.named, name});
                loaded.names.push_back(name.familiar());
            }
            if (image.names.empty()) namings.push_back({image.named, {}});
            out.push_back(std::move(loaded));
        }
        store.tag(namings);  // all of them, or none
        return out;
    });
}
