// Writing the archive that everybody loads: manifest.json (docker, podman, skopeo) and an OCI
// layout (containerd) over the same blobs. In the docker form layers are plain tars, so that a
// blob's digest is its DiffID; in the oci form they and the manifest are as stored. Owners and
// times are zero, and images come in the order in which they were asked for: the same bytes each
// time.
//
// manifest.json knows no types: who reads it takes a layer that is an EROFS image for an empty tar.
// So an image with such layers is in the layout alone, as it is stored.
#include <algorithm>
#include <functional>
#include <set>

#include "base/error.h"
#include "image/archive.h"
#include "image/copy.h"
#include "image/platform.h"
#include "image/transport/stored.h"
#include "image/variants.h"

namespace {

struct Chosen {
    spec::Descriptor top;
    std::set<std::string> images;  // of an index: the digests of those that go along
    std::vector<Reference> names;

    bool is_same(const Chosen& other) const {
        return top.digest == other.top.digest && images == other.images;
    }
};

spec::Descriptor for_platform(const Store& store, const NamedImage& named,
                              const std::string& platform) {
    const auto found = find_variant(store, named.descriptor, platform);
    if (!found || !found->is_here)
        throw Error("no suitable export target found for platform ",
                    platform_text(parse_platform(platform)));
    return store.load(found->manifest).descriptor;
}

// All of an index that is here, and is an image.
std::vector<spec::Descriptor> images_here(const Store& store, const NamedImage& named) {
    std::vector<spec::Descriptor> out;
    for (const Variant& variant : list_variants(store, named.descriptor).all)
        if (variant.is_here && !variant.id.empty()) out.push_back(variant.manifest);
    if (out.empty())
        throw Error("no suitable export target found: no image of ", named.shown(), " is here");
    return out;
}

// One image is saved as itself, several with the index that says which is for whom.
Chosen to_save(const Store& store, const NamedImage& named, const PlatformChoice& choice) {
    if (!choice.all && choice.platforms.empty())
        return {store.load(named.descriptor).descriptor, {}, {}};
    std::vector<spec::Descriptor> images;
    if (choice.all) images = images_here(store, named);
    for (const std::string& platform : choice.platforms)
        images.push_back(for_platform(store, named, platform));
    Chosen out{named.descriptor, {}, {}};
    for (const spec::Descriptor& image : images) out.images.insert(image.digest);
    const bool is_one = out.images.size() == 1 && !choice.all;
    if (is_one || !spec::is_index(out.top.media_type)) return {images[0], {}, {}};
    return out;
}

// As typed: a repository without a tag means all its tags, as with docker save.
std::vector<Chosen> choose(const Store& store, const std::vector<std::string>& words,
                           const PlatformChoice& choice) {
    std::vector<Chosen> out;
    const auto add = [&](const NamedImage& named, bool with_name) {
        const Chosen chosen = to_save(store, named, choice);
        auto at = std::ranges::find_if(out, std::bind_front(&Chosen::is_same, chosen));
        if (at == out.end()) at = out.insert(out.end(), chosen);
        if (with_name && named.name && !named.name->tag.empty() &&
            std::ranges::find(at->names, *named.name) == at->names.end())
            at->names.push_back(*named.name);
    };
    for (const std::string& word : words) {
        const NamedImage found = store.get(word);
        if (!found.name || !is_name(word, *found.name)) {
            add(found, false);
            continue;
        }
        add(found, true);
        const Reference typed = parse_reference(word);
        if (has_tag_or_digest(word)) continue;
        for (const NamedImage& other : store.images())
            if (other.name && other.name->repository() == typed.repository()) add(other, true);
    }
    return out;
}

// With all that it names, if it is no index.
bool is_here(const Store& store, const spec::Descriptor& document) {
    if (!store.has_blob(Digest(document.digest))) return false;
    if (spec::is_index(document.media_type)) return true;
    const spec::Manifest manifest = spec::read_manifest(store.read_blob(document));
    const auto has = [&](const spec::Descriptor& blob) {
        return store.has_blob(Digest(blob.digest));
    };
    return has(manifest.config) && std::ranges::all_of(manifest.layers, has);
}

// What is said of an image under its digest goes along if that stays.
bool speaks_of(const spec::Descriptor& entry, const Chosen& chosen) {
    const auto of = entry.annotations.find("vnd.docker.reference.digest");
    return of != entry.annotations.end() && chosen.images.contains(of->second);
}

// Of an index: what was chosen, and the indexes between.
Documents::Wanted wanted_of(const Store& store, const Chosen& chosen, ArchiveFormat format) {
    return [&store, &chosen, format](const spec::Descriptor& entry) {
        if (chosen.images.contains(entry.digest)) return true;
        const bool may_go = spec::is_index(entry.media_type) ||
                            (format == ArchiveFormat::oci && speaks_of(entry, chosen));
        return may_go && is_here(store, entry);
    };
}

}  // namespace

void save_archive(const Store& store, const std::vector<std::string>& names, ArchiveFormat format,
                  int fd, const PlatformChoice& choice) {
    const Lease lease = store.use();
    ArchiveSink archive(format, fd);
    for (const Chosen& chosen : choose(store, names, choice)) {
        archive.call(chosen.names);
        StoreSource source(store, chosen.top);
        copy_image(source, archive,
                   {.all = !chosen.images.empty(), .wanted = wanted_of(store, chosen, format)});
    }
    archive.close();
}
