// What is hard: a place may be anywhere, so the store is opened (and made) only if one of the two
// is in it.
#include <cstdio>
#include <optional>

#include "base/defer.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/compression_option.h"
#include "cli/trust_options.h"
#include "image/transport/places.h"

static constexpr Option copy_options[] = {
    {"all,a", nullptr, "of an index all images, and the index itself"},
    {"platform", "OS/ARCH", "of an index not this machine's but that platform's image"},
    {"compression", "KIND", "gzip, zstd or none: what layers are to be; without it they stay"},
    compression_level_option,
    {"referrers", nullptr, "with what refers to it: signatures, attestations (digests stay)"},
    {"preserve-digests", nullptr, "fail rather than change a digest"},
    {"digestfile", "FILE", "write the digest of the copy there"},
    {"quiet,q", nullptr, "no progress"},
    verify_key_option,
};

static int copy_(const Arguments& globals, const Arguments& args) {
    if (args.flag("quiet")) Progress::set_quiet(true);
    const ImagePlace from = parse_place(args[0]), to = parse_place(args[1]);
    if (args.flag("all") && !args.get("platform").empty())
        throw Error("--all and --platform exclude each other");
    const auto compression = read_compression(args);
    const bool referrers = args.flag("referrers");  // to digests, which must stay
    const TrustPolicy trust = read_trust(globals, args);
    std::optional<Store> store;
    const auto the_store = [&]() -> const Store& {
        if (!store) store.emplace(open_store(globals));
        return *store;
    };
    // What did not become an image goes at once.
    Defer collect([&] {
        if (store) collect_garbage(*store);
    });
    const spec::Descriptor copied =
        copy_between(from, to, trust,
                     {.all = args.flag("all"),
                      .platform = args.get("platform"),
                      .compression = compression,
                      .same_digests = referrers || args.flag("preserve-digests")},
                     referrers, the_store);
    collect.keep();
    if (const std::string file = args.get("digestfile"); !file.empty())
        replace_file(file, copied.digest + "\n");
    return 0;
}

constinit const Command copy_command = {
    .name = "copy",
    .synopsis = "SOURCE DESTINATION",
    .summary = "copy an image between registries, the store, layouts and archives",
    .options = copy_options,
    .least = 2,
    .most = 2,
    .interspersed = true,
    .run = copy_,
};
