// Places as they are typed, which is as skopeo has them: "oci:/srv/layout:1.2".
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "image/copy.h"
#include "image/store.h"
#include "image/transport/transport.h"
#include "image/trust/policy.h"

struct Transport {
    enum class Kind { registry, store, layout, oci_archive, docker_archive, directory } kind;
    std::string_view prefix;    // "oci:"
    std::string_view synopsis;  // "oci:DIRECTORY[:NAME]"
};

struct ImagePlace {
    const Transport* transport;
    std::string path, name;  // "/srv/layout", "1.2"; of a registry and the store the name alone
    std::string typed;
};
// Throws Error, which lists the transports, for what has the prefix of none.
ImagePlace parse_place(const std::string& typed);
// The same; what has no prefix is an image of the store.
ImagePlace place_or_stored(const std::string& typed);

// A place's image to read; the store is asked for it if it is there.
std::unique_ptr<ImageSource> source_at(const ImagePlace& place,
                                       const std::function<const Store&()>& store);
// As a policy speaks of it.
Origin origin_of(const ImagePlace& place);

// What `trust` refuses of `from` is not copied. `store` is asked for it if one of the places is
// there. Gives what copy_image() gives. `referrers`: with what refers to the image
// (transport/referrers.h), which is there first.
spec::Descriptor copy_between(const ImagePlace& from, const ImagePlace& to,
                              const TrustPolicy& trust, const CopyOptions& options, bool referrers,
                              const std::function<const Store&()>& store);
