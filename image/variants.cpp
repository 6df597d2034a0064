// An index may name what is not here, and what is here of an image may be a part: its manifest
// without its layers, as in a manifest list. So nothing is asked of a document but whether it is
// there, and a size is what the disk says.
#include "image/variants.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "base/sys.h"
#include "base/tree_walk.h"
#include "image/manifest_list.h"
#include "image/platform.h"
#include "image/snapshots.h"

namespace {

class Listing {
public:
    explicit Listing(const Store& store) : store_(store) {}

    Variants list(const spec::Descriptor& top) {
        document(top, 0);
        for (const auto& [digest, bytes] : blobs_) found_.content += bytes;
        found_.disk = found_.content;
        for (const auto& [name, bytes] : made_) found_.disk += bytes;
        return std::move(found_);
    }

private:
    void document(const spec::Descriptor& descriptor, size_t depth) {
        if (!spec::is_index(descriptor.media_type)) return manifest(descriptor);
        if (depth > most_nested_indexes)
            throw Error("index ", descriptor.digest, " is nested too deep");
        if (depth > 0 && !store_.has_blob(Digest(descriptor.digest))) return;
        blob(descriptor.digest);
        const spec::Index index = context("index " + descriptor.digest, [&] {
            return spec::read_index(store_.read_blob(descriptor));
        });
        for (const spec::Descriptor& child : index.manifests) document(child, depth + 1);
    }

    void manifest(const spec::Descriptor& descriptor) {
        Variant variant{.manifest = descriptor, .platform = descriptor.platform, .id = ""};
        if (const auto bytes = blob(descriptor.digest)) {
            variant.content = variant.disk = *bytes;
            context("manifest " + descriptor.digest, [&] {
                const spec::Manifest image = spec::read_manifest(store_.read_blob(descriptor));
                const auto own = contents(image, variant);
                if (!variant.platform) variant.platform = own;
            });
        }
        const bool is_attestation = variant.platform && variant.platform->os == "unknown";
        if (!is_attestation) found_.all.push_back(std::move(variant));
    }

    // Gives what the config says.
    std::optional<spec::Platform> contents(const spec::Manifest& image, Variant& variant) {
        variant.is_here = true;
        std::set<std::string> counted;
        const auto count = [&](const std::string& digest) {
            const auto bytes = blob(digest);
            variant.is_here &= bytes.has_value();
            if (counted.insert(digest).second) variant.content += bytes.value_or(0);
        };
        count(image.config.digest);
        for (const spec::Descriptor& layer : image.layers) count(layer.digest);
        variant.disk = variant.content;
        if (spec::oci_media_type(image.config.media_type) != spec::media::config ||
            !store_.has_blob(Digest(image.config.digest)))
            return {};
        variant.id = image.config.digest;
        const auto config = spec::read_image_config(store_.read_blob(image.config));
        made_of(config.rootfs.diff_ids, counted, variant);
        return platform_of(config);
    }

    void made_of(const std::vector<std::string>& diff_ids, const std::set<std::string>& counted,
                 Variant& variant) {
        std::vector<Digest> layers;
        for (const std::string& id : diff_ids) layers.emplace_back(id);
        const auto add = [&](const std::string& path) {
            struct stat info{};
            if (::lstat(path.c_str(), &info) < 0) return;
            const auto [at, is_new] = made_.try_emplace(path, 0);
            if (is_new)
                at->second = S_ISREG(info.st_mode) ? uint64_t(info.st_size) : disk_usage(path);
            variant.disk += at->second;
        };
        for (const Digest& id : layers)
            if (!counted.contains(id.text())) add(store_.blob_path(id));
        for (const Digest& id : chain_ids(layers))
            add(str(store_.root(), "/layers/", id.algorithm(), "/", id.hex()));
    }

    // Its bytes, if it is here.
    std::optional<uint64_t> blob(const std::string& digest) {
        struct stat info{};
        if (!Digest::is_valid(digest) ||
            ::lstat(store_.blob_path(Digest(digest)).c_str(), &info) < 0)
            return {};
        return blobs_[digest] = uint64_t(info.st_size);
    }

    const Store& store_;
    Variants found_;
    std::map<std::string, uint64_t> blobs_, made_;  // by digest; by path
};

}  // namespace

Variants list_variants(const Store& store, const spec::Descriptor& top) {
    return Listing(store).list(top);
}

std::optional<Variant> find_variant(const Store& store, const spec::Descriptor& top,
                                    const std::string& platform) {
    spec::Index known;  // as if they were of one index
    const Variants variants = list_variants(store, top);
    for (const Variant& variant : variants.all) {
        if (variant.id.empty()) continue;
        known.manifests.push_back(variant.manifest);
        known.manifests.back().platform = variant.platform;
    }
    const spec::Descriptor* const found = find_platform(known, platform);
    if (!found) return {};
    return *std::ranges::find(variants.all, found->digest,
                              [](const Variant& variant) { return variant.manifest.digest; });
}

spec::Descriptor get_variant(const Store& store, const NamedImage& image,
                             const std::string& platform) {
    if (platform.empty()) {
        if (!is_for_others(store, image.descriptor)) return image.descriptor;
        for (const Variant& variant : list_variants(store, image.descriptor).all)
            if (!variant.id.empty()) return variant.manifest;
    } else if (const auto found = find_variant(store, image.descriptor, platform)) {
        return found->manifest;
    }
    throw Error("image with reference ", image.shown(),
                " was found but does not match the specified platform: wanted ",
                platform_text(parse_platform(platform.empty() ? host_platform() : platform)));
}

void remove_variant(const Store& store, const spec::Descriptor& manifest) {
    const FileLock nobody_else(store.root() + "/lock");
    for (const NamedImage& named : store.images())
        if (named.descriptor.digest == manifest.digest)
            throw Error("conflict: unable to delete ", Digest(manifest.digest).short_hex(),
                        " - image is referenced as ", named.shown());
    if (leased(store.root()).contains(manifest.digest))
        throw Error("conflict: unable to delete ", Digest(manifest.digest).short_hex(),
                    " - image is being used by another command");
    sys::unlink(store.blob_path(Digest(manifest.digest)));
}

std::string platform_text(const spec::Platform& platform) {
    return str(platform.os, "/", platform.architecture, platform.variant.empty() ? "" : "/",
               platform.variant);
}
