// The first colon ends the prefix, and the next one the path: what is behind it may be a whole
// name, with colons of its own. An archive is written where OutputFile says, so that nobody finds
// half of it.
#include "image/transport/places.h"

#include <algorithm>

#include "base/error.h"
#include "base/output_file.h"
#include "base/sys.h"
#include "image/derive.h"
#include "image/transport/archive.h"
#include "image/transport/directory.h"
#include "image/transport/layout.h"
#include "image/transport/referrers.h"
#include "image/transport/remote.h"
#include "image/transport/stored.h"
#include "image/trust/judge.h"
#include "image/trust/kept.h"

namespace {

using enum Transport::Kind;

constexpr Transport known[] = {
    {registry, "docker://", "docker://IMAGE"},
    {store, "store:", "store:IMAGE"},
    {layout, "oci:", "oci:DIRECTORY[:NAME]"},
    {oci_archive, "oci-archive:", "oci-archive:FILE[:NAME]"},
    {docker_archive, "docker-archive:", "docker-archive:FILE[:NAME]"},
    {directory, "dir:", "dir:DIRECTORY"},
};

using AskStore = std::function<const Store&()>;

}  // namespace

std::unique_ptr<ImageSource> source_at(const ImagePlace& place, const AskStore& the_store) {
    const auto archive = [&] { return files_of_archive(sys::open(place.path, O_RDONLY).get()); };
    switch (place.transport->kind) {
        case registry: return std::make_unique<RegistrySource>(parse_reference(place.name));
        case store: {
            const NamedImage found = the_store().get(place.name);
            return std::make_unique<KeptSource>(the_store(), found.descriptor, found.name);
        }
        case layout:
            return std::make_unique<LayoutSource>(std::make_unique<DirectoryFiles>(place.path),
                                                  place.name, place.path);
        case oci_archive: return std::make_unique<LayoutSource>(archive(), place.name, place.path);
        case docker_archive:
            return std::make_unique<DockerArchiveSource>(archive(), place.name, place.path);
        case directory: return std::make_unique<DirectorySource>(place.path);
    }
    throw Error("unreachable");
}

Origin origin_of(const ImagePlace& place) {
    switch (place.transport->kind) {
        case registry: return Origin::registry(parse_reference(place.name), place.typed);
        case store: return Origin::store(reference_of(place.name), place.typed);
        default: break;
    }
    std::string transport(place.transport->prefix);
    transport.pop_back();  // the colon
    return Origin::file(std::move(transport), place.path, place.typed);
}

namespace {

spec::Descriptor copy_to_archive(ImageSource& from, const ImagePlace& to, ArchiveFormat format,
                                 const CopyOptions& options) {
    const bool is_docker = format == ArchiveFormat::docker;
    if (is_docker && options.all && spec::is_index(from.top().media_type))
        throw Error("a docker archive holds no index: choose one platform");
    std::vector<Reference> names;
    if (is_docker && !to.name.empty()) names = {name_for_new(to.name)};
    spec::Descriptor copied;
    OutputFile(to.path).write([&](int fd) {
        ArchiveSink sink(format, fd);
        sink.call(names, to.name);
        copied = copy_image(from, sink, options);
        sink.close();
    });
    return copied;
}

spec::Descriptor copy_to(ImageSource& from, const ImagePlace& to, const CopyOptions& options,
                         const AskStore& the_store) {
    const auto copy = [&](ImageSink&& sink) { return copy_image(from, sink, options); };
    switch (to.transport->kind) {
        case registry: return copy(RegistrySink(parse_reference(to.name)));
        case store:
            return copy(
                StoreSink(the_store(), name_for_new(to.name), options.platform, from.is_far()));
        case layout: return copy(LayoutSink(to.path, to.name));
        case oci_archive: return copy_to_archive(from, to, ArchiveFormat::oci, options);
        case docker_archive: return copy_to_archive(from, to, ArchiveFormat::docker, options);
        case directory: return copy(DirectorySink(to.path));
    }
    throw Error("unreachable");
}

// Where a referrer goes, which has no name of its own.
std::unique_ptr<ImageSink> place_for_referrer(const ImagePlace& to, const AskStore& the_store,
                                              const spec::Descriptor& referrer,
                                              const std::string& subject) {
    switch (to.transport->kind) {
        case registry: {
            Reference name = parse_reference(to.name);
            name.tag.clear(), name.digest = referrer.digest;
            return std::make_unique<RegistrySink>(name);
        }
        case store:
            return std::make_unique<StoreReferrerSink>(the_store(), name_for_new(to.name), subject);
        case layout: return std::make_unique<LayoutSink>(to.path, "");
        case oci_archive:
        case docker_archive:
        case directory: break;
    }
    throw Error(to.typed, " holds one image, and nothing that refers to it");
}

}  // namespace

ImagePlace parse_place(const std::string& typed) {
    const auto found = std::ranges::find_if(
        known, [&](const Transport& transport) { return typed.starts_with(transport.prefix); });
    if (found == std::end(known)) {
        std::vector<std::string> all;
        for (const Transport& transport : known) all.emplace_back(transport.synopsis);
        throw Error("invalid place ", quoted(typed), ": expected one of ", join(all, ", "));
    }
    ImagePlace place{.transport = found, .path = {}, .name = {}, .typed = typed};
    const std::string rest = typed.substr(found->prefix.size());
    const bool has_path = found->kind != registry && found->kind != store;
    const size_t colon = found->kind == directory ? std::string::npos : rest.find(':');
    if (!has_path) {
        place.name = rest;
    } else {
        place.path = rest.substr(0, colon);
        if (colon != std::string::npos) place.name = rest.substr(colon + 1);
    }
    if (rest.empty() || (has_path && place.path.empty()))
        throw Error("invalid place ", quoted(typed), ": expected ", found->synopsis);
    return place;
}

ImagePlace place_or_stored(const std::string& typed) {
    const bool is_place = std::ranges::any_of(
        known, [&](const Transport& transport) { return typed.starts_with(transport.prefix); });
    return parse_place(is_place ? typed : "store:" + typed);
}

spec::Descriptor copy_between(const ImagePlace& from, const ImagePlace& to,
                              const TrustPolicy& trust, const CopyOptions& options, bool referrers,
                              const std::function<const Store&()>& the_store) {
    const bool uses_store = from.transport->kind == store || to.transport->kind == store;
    const Lease lease = uses_store ? the_store().use() : Lease();
    const auto source = context(from.typed, [&] { return source_at(from, the_store); });
    CopyOptions judged = options;
    const bool stays = to.transport->kind == store;
    judged.accept =
        acceptance(trust, *source, origin_of(from), stays ? keep_in(the_store()) : Noted());
    return context(str("copying ", from.typed, " to ", to.typed), [&] {
        // Whoever finds the image finds its signatures.
        if (referrers)
            copy_referrers(*source, judged, to.transport->kind == store,
                           [&](const auto& referrer, const auto& subject) {
                               return place_for_referrer(to, the_store, referrer, subject);
                           });
        return copy_to(*source, to, judged, the_store);
    });
}
