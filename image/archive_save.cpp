// Writing the archive that everybody loads: manifest.json (docker, podman, skopeo) and an OCI
// layout (containerd) over the same blobs. In the docker form layers are plain tars, so that a
// blob's digest is its DiffID; in the oci form they and the manifest are as stored. Owners and
// times are zero, and images come in the order in which they were asked for: the same bytes each
// time.
//
// manifest.json knows no types: who reads it takes a layer that is an EROFS image for an empty tar.
// So an image with such layers is in the layout alone, as it is stored.
#include <algorithm>

#include "base/error.h"
#include "image/archive.h"
#include "image/copy.h"
#include "image/platform.h"
#include "image/transport/stored.h"
#include "image/variants.h"

namespace {

struct Chosen {
    spec::Descriptor manifest;
    std::vector<Reference> names;
};

spec::Descriptor to_save(const Store& store, const NamedImage& named, const std::string& platform) {
    if (platform.empty()) return store.load(named.descriptor).descriptor;
    const auto found = find_variant(store, named.descriptor, platform);
    if (!found || !found->is_here)
        throw Error("no suitable export target found for platform ",
                    platform_text(parse_platform(platform)));
    return store.load(found->manifest).descriptor;
}

// As typed: a repository without a tag means all its tags, as with docker save.
std::vector<Chosen> choose(const Store& store, const std::vector<std::string>& words,
                           const std::string& platform) {
    std::vector<Chosen> out;
    const auto add = [&](const NamedImage& named, bool with_name) {
        const spec::Descriptor manifest = to_save(store, named, platform);
        auto at = std::ranges::find(out, manifest.digest,
                                    [](const Chosen& chosen) { return chosen.manifest.digest; });
        if (at == out.end()) at = out.insert(out.end(), {manifest, {}});
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

}  // namespace

void save_archive(const Store& store, const std::vector<std::string>& names, ArchiveFormat format,
                  int fd, const std::string& platform) {
    const Lease lease = store.use();
    ArchiveSink archive(format, fd);
    for (const Chosen& chosen : choose(store, names, platform)) {
        archive.call(chosen.names);
        StoreSource source(store, chosen.manifest);
        copy_image(source, archive);
    }
    archive.close();
}
