// What is hard: the documents say what a blob is, and a blob is read once. So all documents come
// first, then layers (stacks.h), then what is left. How many documents, layers and bytes of
// documents there are, and whether they lead back to themselves, is a stranger's word: each is gone
// through once, and all of it has a bound. That no image leads to a blob can be said only if
// nothing on the way was lost.
#include "image/validate/images.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "image/digest.h"
#include "image/layer/rules.h"

namespace {

constexpr size_t most_documents_bytes = size_t(256) << 20;
constexpr size_t most_depth = 8;        // of indexes in indexes
constexpr size_t nested_depth = 2;      // which is usual
constexpr size_t most_in_image = 1000;  // of an image
constexpr size_t most_uses = 200'000;   // of layers, by all images
constexpr size_t most_links = 8;        // from one name to another

constexpr std::string_view name_key = "org.opencontainers.image.ref.name";
constexpr std::string_view reference_key = "vnd.docker.reference.type";
constexpr std::string_view soci_type = "application/vnd.amazon.soci.index.v1+json";

bool is_schema1(std::string_view type) {
    return type.starts_with("application/vnd.docker.distribution.manifest.v1+");
}

bool is_attestation(const Link& link) {
    const auto found = link.descriptor.annotations.find(std::string(reference_key));
    return found != link.descriptor.annotations.end() && found->second == "attestation-manifest";
}

bool is_manifest(const Link& link) {
    return spec::oci_media_type(link.descriptor.media_type) == spec::media::manifest;
}

std::string place_of_blob(const std::string& digest) {
    const size_t colon = digest.find(':');
    return str("blobs/", digest.substr(0, colon), "/", digest.substr(colon + 1));
}
// descriptor.md's grammar of a name: words of letters and digits, with one separator between two.
bool is_ref_name(std::string_view name) {
    bool in_word = false;
    size_t separators = 0;
    for (const char c : name) {
        const bool is_word =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && !std::string_view("-._:@+/").contains(c)) return false;
        if (!is_word && !in_word && !(c == '-' && separators == 1)) return false;
        separators = is_word ? 0 : c == '-' || separators == 0 ? separators + 1 : 2;
        in_word = is_word;
    }
    return in_word;
}

std::string platform_words(const spec::Platform& platform) {
    return str(platform.os, "/", platform.architecture, platform.variant.empty() ? "" : "/",
               platform.variant);
}

}  // namespace

// --- documents

// Nothing, with a finding, for what is too much or is gone.
std::optional<std::string> Images::read_document(const std::string& path, const std::string& name) {
    const auto file = files_.find(path);
    if (!file || file->kind != Files::File::Kind::regular) return {};
    document_bytes_ += size_t(file->size);
    if (size_t(file->size) > most_document || document_bytes_ > most_documents_bytes) {
        document_bytes_ -= size_t(file->size);
        found("too-large", name, "",
              str("has ", file->size, " bytes, and a document has at most ", most_document,
                  ", all together ", most_documents_bytes));
        return {};
    }
    return read_text(files_, path);
}

// Where what the descriptor names is, or "" if it is not there.
std::string Images::blob_path(const Link& link, const std::string& document) {
    std::string path = place_of_blob(link.descriptor.digest);
    referenced_.insert(path);
    const auto file = files_.find(path);
    if (!file) {
        if (!link.data)
            found("missing-blob", document, link.place,
                  str(link.descriptor.digest, " is not there"));
        return {};
    }
    if (file->kind != Files::File::Kind::regular) {
        found("irregular-blob", link.descriptor.digest, "",
              file->kind == Files::File::Kind::link ? "is a link, or behind one"
                                                    : "is no regular file");
        return {};
    }
    if (link.descriptor.size >= 0 && file->size != link.descriptor.size)
        found("size-mismatch", document, link.place + ".size",
              str("is ", link.descriptor.size, ", but the blob has ", file->size, " bytes"));
    return path;
}

std::optional<std::string> Images::document_of(const Link& link, const std::string& document) {
    const std::string path = blob_path(link, document);
    auto text = path.empty() ? link.data : read_document(path, link.descriptor.digest);
    if (!text) lost_ = true;
    if (path.empty()) return text;
    if (text && !has_digest(*text, link.descriptor.digest).value_or(true))
        found("digest-mismatch", link.descriptor.digest, "",
              str("its bytes have the digest ", digest_of(*text).text()));
    return text;
}

void Images::judge_names(const IndexWords& index, const std::string& name) {
    std::map<std::string, std::string> places;
    for (const Link& link : index.entries) {
        const auto named = link.descriptor.annotations.find(std::string(name_key));
        if (named == link.descriptor.annotations.end()) continue;
        const std::string place = str(link.place, ".annotations[", quoted(name_key), "]");
        if (!is_ref_name(named->second))
            found("invalid-name", name, place, str("is ", quoted(named->second)));
        const auto [first, is_new] = places.try_emplace(named->second, link.place);
        if (!is_new)
            found("duplicate-name", name, place,
                  str(quoted(named->second), " is the name of ", first->second, ", too"));
    }
}

void Images::add_index(std::string_view text, const std::string& name) {
    const IndexWords index = judge_index(text, name, spec::media::index, findings_);
    judge_names(index, name);
    begun_ = true;
    if (!index.is_complete) lost_ = true;
    for (const Link& link : index.entries) walk(link, name, 0);
}

void Images::add(const Link& link, const std::string& document) { walk(link, document, 0); }

void Images::walk(const Link& link, const std::string& document, size_t depth) {
    const std::string& type = link.descriptor.media_type;
    const std::string_view known = spec::oci_media_type(type);
    if (is_attestation(link))
        found("attestation", document, link.place, str(link.descriptor.digest, " is one"));
    if (link.descriptor.artifact_type == soci_type || type == soci_type)
        found("partial-pull", document, link.place, "is an index of SOCI's");
    if (known == spec::media::index) return walk_index(link, document, depth);
    if (known == spec::media::manifest) {
        walk_manifest(link, document);
        return compare_platform(link, document);
    }
    lost_ = true;
    if (is_schema1(type))
        found("schema1", document, link.place + ".mediaType", str("is ", quoted(type)));
    else if (!type.empty())
        found("unknown-type", document, link.place + ".mediaType", str("is ", quoted(type)));
    add_opaque(link, document);
}

void Images::walk_index(const Link& link, const std::string& document, size_t depth) {
    const std::string& name = link.descriptor.digest;
    if (!seen_.insert("index " + name).second) return;
    if (depth + 1 == most_depth) {
        lost_ = true;
        return found("too-large", document, link.place,
                     str("indexes are nested more than ", most_depth, " deep"));
    }
    if (depth == nested_depth)
        found("deep-index", document, link.place,
              str("the index ", name, " is nested deeper than ", nested_depth));
    const auto text = document_of(link, document);
    if (!text) return;
    const IndexWords index = judge_index(*text, name, link.descriptor.media_type, findings_);
    if (!index.is_complete) lost_ = true;
    const bool is_choice = std::ranges::count_if(index.entries, [](const Link& entry) {
                               return is_manifest(entry) && !is_attestation(entry);
                           }) > 1;
    for (const Link& entry : index.entries) {
        if (is_choice && is_manifest(entry) && !is_attestation(entry) && !entry.descriptor.platform)
            found("no-platform", name, entry.place,
                  "has no platform, and is not the only manifest");
        walk(entry, name, depth + 1);
    }
}

void Images::walk_manifest(const Link& link, const std::string& document) {
    const std::string& name = link.descriptor.digest;
    if (!seen_.insert("manifest " + name).second) return;
    const auto text = document_of(link, document);
    if (!text) return;
    const ManifestWords manifest =
        judge_manifest(*text, name, link.descriptor.media_type, findings_);
    if (!manifest.is_complete) lost_ = true;
    const bool is_image =
        manifest.config &&
        spec::oci_media_type(manifest.config->descriptor.media_type) == spec::media::config;
    if (!is_image) {  // of which nothing is known but its blobs
        if (manifest.config) {
            found("unknown-type", name, "config.mediaType",
                  str("is ", quoted(manifest.config->descriptor.media_type)));
            add_opaque(*manifest.config, name);
        }
        for (const Link& layer : manifest.layers) add_opaque(layer, name);
        return;
    }
    const std::string& config_name = manifest.config->descriptor.digest;
    const auto config_text = configs_.contains(place_of_blob(config_name))
                                 ? std::string()
                                 : document_of(*manifest.config, name);
    const Config* const config =
        config_text ? config_at(place_of_blob(config_name), *config_text) : nullptr;
    if (config) platforms_[name] = config->words.platform;
    add_image(manifest, config ? *config : Config(), name, config_name);
}

const Images::Config* Images::config_at(const std::string& path, const std::string& text) {
    const auto [at, is_new] = configs_.try_emplace(path);
    if (is_new)
        at->second = {.words = judge_config(text, name_of_blob(path), findings_),
                      .digest = digest_of(text).text()};
    return &at->second;
}

void Images::compare_platform(const Link& link, const std::string& document) {
    const auto known = platforms_.find(link.descriptor.digest);
    if (!link.descriptor.platform || known == platforms_.end() || is_attestation(link)) return;
    const spec::Platform &said = *link.descriptor.platform, &is = known->second;
    if (said.os != is.os || said.architecture != is.architecture ||
        (!said.variant.empty() && !is.variant.empty() && said.variant != is.variant))
        found("platform-mismatch", document, link.place + ".platform",
              str("is ", platform_words(said), ", but the config is of ", platform_words(is)));
}

void Images::add_image(const ManifestWords& manifest, const Config& config, const std::string& name,
                       const std::string& config_name) {
    StackedImage image{.document = name,
                       .place = "layers",
                       .config = config_name,
                       .config_digest = config.digest,
                       .user = config.words.user,
                       .layers = {},
                       .is_whole = manifest.is_complete};
    const auto& diff_ids = config.words.diff_ids;
    if (manifest.is_complete && diff_ids && diff_ids->size() != manifest.layers.size())
        found("diff-id-count", config_name, "rootfs.diff_ids",
              str("are ", diff_ids->size(), ", but ", name, " has ", manifest.layers.size(),
                  " layers"));
    judge_erofs(manifest, config, name);
    for (size_t i = 0; i < manifest.layers.size(); ++i) {
        const Link& link = manifest.layers[i];
        if (!spec::is_layer(link.descriptor.media_type)) {
            if (!link.descriptor.media_type.empty())
                found("unknown-type", name, link.place + ".mediaType",
                      str("is ", quoted(link.descriptor.media_type)));
            add_opaque(link, name);
            image.is_whole = false;
            continue;
        }
        // Which one is whose is known only if none is left out.
        const bool has_id = manifest.is_complete && diff_ids && i < diff_ids->size();
        image.layers.push_back({.path = blob_path(link, name),
                                .descriptor = link.descriptor,
                                .diff_id = has_id ? (*diff_ids)[i] : "",
                                .document = name,
                                .place = link.place});
    }
    keep(std::move(image));
}

// What an image has to say that has EROFS images for layers.
void Images::judge_erofs(const ManifestWords& manifest, const Config& config,
                         const std::string& name) {
    size_t images = 0, tars = 0;
    for (const Link& link : manifest.layers) {
        const spec::Descriptor& layer = link.descriptor;
        if (!spec::is_layer(layer.media_type)) continue;
        ++(spec::is_erofs_layer(layer.media_type) ? images : tars);
        try {
            spec::check_erofs_role(layer);
        } catch (const Error& e) {
            found("erofs-role", name, link.place + ".annotations", e.what());
        }
    }
    if (images == 0) return;
    if (tars != 0)
        found("mixed-layers", name, "layers",
              str("has ", images, " that are EROFS images, and ", tars, " that are tars"));
    if (!config.digest.empty() && std::ranges::find(config.words.platform.os_features, "erofs") ==
                                      config.words.platform.os_features.end())
        found("erofs-feature", name, "layers",
              "are EROFS images, but the config's os.features do not say so");
}

void Images::keep(StackedImage image) {
    layers_ += image.layers.size();
    if (image.layers.size() > most_in_image || layers_ > most_uses) {
        found("too-large", image.document, image.place,
              str("are too many layers to be looked at: an image has at most ", most_in_image,
                  ", all together ", most_uses));
        layers_ -= image.layers.size();
        return;
    }
    images_.push_back(std::move(image));
}

void Images::add_opaque(const Link& link, const std::string& document) {
    if (!seen_.insert("blob " + link.descriptor.digest).second) return;
    const std::string path = blob_path(link, document);
    if (!path.empty()) opaque_.push_back({link, document, path});
}

// --- manifest.json

void Images::add_items(std::string_view text, const std::string& name) {
    const auto items = judge_archive_items(text, name, findings_);
    for (size_t i = 0; i < items.size(); ++i) add_item(items[i], name, str("[", i, "]"));
}

// The path of what is there under that name, links followed; "" for nothing.
std::string Images::part(const std::string& named, const std::string& document,
                         const std::string& place, bool is_layer) {
    std::string path = named;
    for (size_t i = 0; i < most_links; ++i) {
        const auto file = files_.find(path);
        if (!file || file->kind == Files::File::Kind::other) break;
        if (file->kind == Files::File::Kind::regular) return referenced_.insert(path), path;
        if (i == 0 && is_layer)
            found("layer-through-link", document, place,
                  str(quoted(named), " is a link to ", quoted(file->target)));
        path = file->target;
    }
    found("missing-part", document, place, str("there is no file ", quoted(named)));
    return {};
}

void Images::add_item(const ArchiveItem& item, const std::string& document, const std::string& at) {
    const std::string path =
        item.config.empty() ? "" : part(item.config, document, at + ".Config", false);
    const auto text = path.empty() || configs_.contains(path)
                          ? std::string()
                          : read_document(path, name_of_blob(path));
    const Config* const config = !path.empty() && text ? config_at(path, *text) : nullptr;
    StackedImage image{.document = document,
                       .place = at + ".Layers",
                       .config = name_of_blob(path),
                       .config_digest = config ? config->digest : "",
                       .user = config ? config->words.user : "",
                       .layers = {},
                       .is_item = true,
                       .is_whole = !item.layers.empty()};
    const auto diff_ids = config ? config->words.diff_ids : std::nullopt;
    if (diff_ids && diff_ids->size() != item.layers.size())
        found("diff-id-count", image.config, "rootfs.diff_ids",
              str("are ", diff_ids->size(), ", but ", image.place, " has ", item.layers.size(),
                  " layers"));
    for (size_t i = 0; i < item.layers.size(); ++i) {
        const std::string place = str(image.place, "[", i, "]");
        image.layers.push_back({.path = part(item.layers[i], document, place, true),
                                .descriptor = {.size = -1},
                                .diff_id = diff_ids && i < diff_ids->size() ? (*diff_ids)[i] : "",
                                .document = document,
                                .place = place});
    }
    keep(std::move(image));
}

// --- layers and other blobs

void Images::judge_layers() {
    Stacks(files_, findings_, images_).judge();
    judge_opaque();
}

std::optional<std::string> Images::hash(const std::string& path, std::string_view algorithm) {
    if (algorithm != "sha256" && algorithm != "sha512") return {};
    Hasher hasher(algorithm);
    const ByteSource bytes = files_.open(path);
    for (std::string_view piece = bytes(); !piece.empty(); piece = bytes()) hasher.update(piece);
    return hasher.finish().text();
}

void Images::judge_opaque() {
    for (const auto& [link, document, path] : opaque_) {
        const auto digest = hash(path, algorithm_of(link.descriptor.digest));
        if (digest && *digest != link.descriptor.digest)
            found("digest-mismatch", link.descriptor.digest, "",
                  str("its bytes have the digest ", *digest));
    }
}

void Images::judge_rest() {
    // A store keeps the plain tar of a layer beside its blob.
    for (const auto& [path, config] : configs_)
        if (config.words.diff_ids)
            diff_ids_.insert(config.words.diff_ids->begin(), config.words.diff_ids->end());
    for (const std::string& path : files_.blobs())
        if (!referenced_.contains(path)) judge_unreferenced(path);
}

void Images::judge_unreferenced(const std::string& path) {
    const std::string digest = name_of_blob(path);
    const auto file = files_.find(path);
    if (!file) return;
    if (file->kind != Files::File::Kind::regular)
        return found("irregular-blob", path, "",
                     file->kind == Files::File::Kind::link ? "is a link" : "is no regular file");
    try {
        spec::check_digest(digest);
    } catch (const Error&) {
        return found("blob-name", path, "", "its name is no digest");
    }
    const auto real = hash(path, algorithm_of(digest));
    if (real && *real != digest)
        found("blob-name", digest, "", str("its bytes have the digest ", *real));
    if (begun_ && !lost_ && !diff_ids_.contains(digest))
        found("unreferenced-blob", digest, "", "no image leads to it");
}
