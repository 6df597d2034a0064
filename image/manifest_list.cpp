// What is hard: a list names images that need not be here. Their manifests and configs are fetched,
// which say for which machine they are; their layers are not, and stay where they are until
// somebody pulls or pushes the list. So it is remembered where each was found (BlobNotes): a push
// can have them from there.
//
// A list is changed by being written anew under its name. Two who change it at once (a build for
// each machine, which adds what it has made) do so one after the other.
#include "image/manifest_list.h"

#include <algorithm>

#include "base/progress.h"
#include "image/blob_notes.h"
#include "image/files.h"
#include "image/platform.h"
#include "spec/image_words.h"

namespace {

constexpr const char* attested = "vnd.docker.reference.digest";  // by an attestation's entry

spec::Descriptor bare(const spec::Descriptor& descriptor) {
    return {
        .media_type = descriptor.media_type, .digest = descriptor.digest, .size = descriptor.size};
}

auto words_of(const spec::Platform& platform) {
    return std::tie(platform.os, platform.architecture, platform.variant, platform.os_version,
                    platform.os_features);
}

bool are_for_one_machine(const spec::Descriptor& a, const spec::Descriptor& b) {
    return a.platform && b.platform && a.platform->os != "unknown" &&
           words_of(*a.platform) == words_of(*b.platform);
}

// The entries that typed images become.
std::vector<spec::Descriptor> entries_of(const Store& store, const std::string& typed) {
    Manifests manifests(store, typed, true);
    const auto entry = [&](spec::Descriptor descriptor) {
        const std::string text = manifests.text_of(descriptor);
        if (spec::is_index(descriptor.media_type))
            throw Error(typed, ": an index in it names another index");
        const auto manifest =
            context("manifest " + descriptor.digest, [&] { return spec::read_manifest(text); });
        const auto platform = manifests.platform_of(manifest);
        if (!descriptor.platform) descriptor.platform = platform;
        return descriptor;
    };
    const Repository::Document& top = manifests.top();
    if (!spec::is_index(top.descriptor.media_type)) return {entry(bare(top.descriptor))};
    std::vector<spec::Descriptor> entries;
    for (const spec::Descriptor& child : spec::read_index(top.text).manifests)
        entries.push_back(entry(child));
    return entries;
}

// In the place of what it replaces, whose attestations go.
void add_entry(std::vector<spec::Descriptor>& entries, const spec::Descriptor& entry) {
    const auto replaced = std::ranges::find_if(entries, [&](const spec::Descriptor& other) {
        return other.digest == entry.digest || are_for_one_machine(other, entry);
    });
    if (replaced == entries.end()) return entries.push_back(entry);
    const std::string before = std::exchange(*replaced, entry).digest;
    if (before == entry.digest) return;
    std::erase_if(entries, [&](const spec::Descriptor& other) {
        const auto of = other.annotations.find(attested);
        return of != other.annotations.end() && of->second == before;
    });
}

// Docker's older type only if all that it names is Docker's.
std::string_view type_for(const std::vector<spec::Descriptor>& entries) {
    const bool is_dockers =
        !entries.empty() && std::ranges::all_of(entries, [](const spec::Descriptor& entry) {
            return entry.media_type == spec::media::docker_manifest;
        });
    return is_dockers ? spec::media::docker_index : spec::media::index;
}

// The name comes last; what the list was before is nobody's any more, unless it has another name.
spec::Descriptor write_list(const Store& store, const Reference& name,
                            const std::optional<ManifestList>& before, spec::Index index) {
    index.media_type = type_for(index.manifests);
    const spec::Descriptor made = store.put_blob(spec::write(index), index.media_type);
    store.tag(made, name);
    if (before && before->descriptor.digest != made.digest &&
        store.names_of(before->descriptor).empty())
        store.remove(before->descriptor);
    return made;
}

FileLock alone(const Store& store) { return FileLock(store.root() + "/lists.lock"); }

// What Go builds for, which is what a platform may be called (image-spec, image-index.md).
void check_machine(const spec::Platform& platform) {
    static constexpr std::string_view systems[] = {
        "aix",   "android", "darwin",  "dragonfly", "freebsd", "illumos", "ios",    "js",
        "linux", "netbsd",  "openbsd", "plan9",     "solaris", "wasip1",  "windows"};
    static constexpr std::string_view architectures[] = {
        "386",      "amd64",  "arm",   "arm64",   "loong64", "mips",  "mips64",
        "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x", "wasm"};
    const auto is_one_of = [](const auto& known, const std::string& word) {
        return std::ranges::find(known, word) != std::end(known);
    };
    if (!is_one_of(systems, platform.os) || !is_one_of(architectures, platform.architecture))
        throw Error("manifest entry for image has unsupported os/arch combination: ", platform.os,
                    "/", platform.architecture);
    spec::check_platform_word(platform.variant);
}

spec::Platform changed(spec::Platform platform, const PlatformWords& words) {
    if (words.architecture) {  // "aarch64" is called arm64
        const spec::Platform typed = parse_platform("linux/" + *words.architecture);
        platform.architecture = typed.architecture, platform.variant = typed.variant;
    }
    if (words.os) platform.os = lower(*words.os);
    if (words.variant) platform.variant = *words.variant;
    if (words.os_version) platform.os_version = *words.os_version;
    if (words.os_features) platform.os_features = *words.os_features;
    check_machine(platform);
    return platform;
}

}  // namespace

Manifests::Manifests(const Store& store, std::string typed, bool keeps)
    : store_(store), typed_(std::move(typed)), keeps_(keeps) {}

const Repository::Document& Manifests::top() {
    if (top_) return *top_;
    if (const auto here = store_.find(typed_)) {
        name_ = here->name;
        top_ = {here->descriptor, store_.read_blob(here->descriptor)};
        return *top_;
    }
    name_ = parse_reference(typed_);
    registry_ = std::make_unique<RegistrySource>(*name_);
    top_ = {registry_->top(), needed_document(registry_->top())};
    keep(top_->descriptor, top_->text);
    return *top_;
}

std::string Manifests::text_of(const spec::Descriptor& descriptor) {
    if (top_ && top_->descriptor.digest == descriptor.digest) return top_->text;
    if (store_.has_blob(Digest(descriptor.digest))) return store_.read_blob(descriptor);
    find_registry(descriptor);
    const std::string text = needed_document(descriptor);
    keep(descriptor, text);
    return text;
}

std::optional<spec::Platform> Manifests::platform_of(const spec::Manifest& manifest) {
    if (spec::oci_media_type(manifest.config.media_type) != spec::media::config) return {};
    return context("image config " + manifest.config.digest, [&] {
        return ::platform_of(spec::read_image_config(config_text(manifest.config)));
    });
}

std::string Manifests::config_text(const spec::Descriptor& config) {
    if (store_.has_blob(Digest(config.digest))) return store_.read_blob(config);
    find_registry(top().descriptor);
    const std::string text = needed_document(config);
    if (digest_of(text, Digest(config.digest).algorithm()).text() != config.digest)
        throw Error("its bytes have another digest");
    keep(config, text);
    return text;
}

// Of an image that is here in part: the first place that has the rest.
void Manifests::find_registry(const spec::Descriptor& has) {
    if (registry_) return;
    if (!name_) throw Error(typed_, " lacks ", has.digest, ", and has no name to look for it by");
    Reference there = *name_;
    there.tag.clear(), there.digest = has.digest;
    registry_ = std::make_unique<RegistrySource>(there);
}

std::string Manifests::needed_document(const spec::Descriptor& descriptor) {
    auto text = registry_->document(descriptor);
    if (!text) throw Error("document ", descriptor.digest, " is not there");
    return std::move(*text);
}

void Manifests::keep(const spec::Descriptor& document, const std::string& text) {
    if (!keeps_) return;
    store_.put_blob(text, document.media_type, Digest(document.digest).algorithm());
    const Place& place = registry_->place();
    const auto note = [&](const std::string& digest) {
        BlobNotes(store_, Digest(digest))
            .add_repository(place.host, place.repository, Digest(digest));
    };
    note(document.digest);
    if (spec::oci_media_type(document.media_type) == spec::media::manifest)
        for (const spec::Descriptor& layer : spec::read_manifest(text).layers) note(layer.digest);
}

std::optional<ManifestList> find_list(const Store& store, const Reference& name) {
    const auto found = store.find(name.familiar());
    if (!found) return {};
    if (!spec::is_index(found->descriptor.media_type))
        throw Error(name.familiar(), " is an image, and no manifest list");
    return ManifestList{bare(found->descriptor),
                        spec::read_index(store.read_blob(found->descriptor))};
}

bool is_for_others(const Store& store, const spec::Descriptor& image) try {
    if (!spec::is_index(image.media_type)) return false;
    const spec::Index index = spec::read_index(store.read_blob(image));
    const spec::Descriptor* const ours = find_platform(index, "");
    return !ours || !store.has_blob(Digest(ours->digest));
} catch (const Error&) {
    return false;  // who reads it will say so
}

spec::Descriptor create_list(const Store& store, const Reference& name,
                             std::span<const std::string> images, bool amend) {
    const Lease lease = store.use();
    if (!amend && find_list(store, name))
        throw Error("refusing to amend an existing manifest list with no --amend flag");
    std::vector<spec::Descriptor> entries;
    for (const std::string& image : images)
        for (spec::Descriptor& entry : entries_of(store, image))
            entries.push_back(std::move(entry));
    // Registries have been asked: from here on it is quick.
    const FileLock lock = alone(store);
    const auto before = find_list(store, name);
    if (before && !amend)
        throw Error("refusing to amend an existing manifest list with no --amend flag");
    spec::Index index = before ? before->index : spec::Index{};
    for (const spec::Descriptor& entry : entries) add_entry(index.manifests, entry);
    return write_list(store, name, before, std::move(index));
}

void add_to_list(const Store& store, const Reference& name, const spec::Descriptor& entry) {
    store.settle();
    const FileLock lock = alone(store);
    const auto before = find_list(store, name);
    spec::Index index = before ? before->index : spec::Index{};
    if (std::ranges::find(index.manifests, entry.digest, &spec::Descriptor::digest) ==
        index.manifests.end())
        index.manifests.push_back(entry);
    write_list(store, name, before, std::move(index));
}

spec::Descriptor annotate_list(const Store& store, const Reference& name, const std::string& image,
                               const PlatformWords& words) {
    const Lease lease = store.use();
    const auto meant = [&] {
        if (Digest::is_valid(image)) return image;
        if (reference_of(image) && !parse_reference(image).digest.empty())
            return parse_reference(image).digest;
        return Manifests(store, image, false).top().descriptor.digest;
    }();
    const FileLock lock = alone(store);
    const auto before = find_list(store, name);
    if (!before) throw Error("No such manifest: ", name.familiar());
    spec::Index index = before->index;
    const auto entry = std::ranges::find(index.manifests, meant, &spec::Descriptor::digest);
    if (entry == index.manifests.end())
        throw Error("manifest for image ", image, " does not exist in ", name.familiar());
    entry->platform = changed(entry->platform.value_or(spec::Platform{}), words);
    return write_list(store, name, before, std::move(index));
}
