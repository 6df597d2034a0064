// Names come last: an archive's blobs are in the store before its layers are unpacked, and only
// then one that is not what the config says is found. What no name leads to after that is collected
// at once, and not when somebody next removes an image.
#include <unistd.h>

#include <cstdio>

#include "base/defer.h"
#include "base/progress.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "cli/trust_options.h"
#include "image/archive.h"

static constexpr Option load_options[] = {
    {"input,i", "FILE", "read that archive instead of standard input"},
    {"quiet,q", nullptr, "no progress"},
    verify_key_option,
};

static int load(const Arguments& globals, const Arguments& args) {
    const std::string input = args.get("input");
    if (input.empty() && ::isatty(0)) throw Error("requested load from stdin, but stdin is empty");
    if (args.flag("quiet")) Progress::set_quiet(true);
    const UniqueFd file = input.empty() ? UniqueFd() : sys::open(input, O_RDONLY);
    const TrustPolicy trust = read_trust(globals, args);
    const Store store = open_store(globals);
    // What a bad archive left behind that nothing names goes at once.
    Defer collect([&] { collect_garbage(store); });
    const auto loaded = context(input.empty() ? "standard input" : input, [&] {
        return load_archive(store, file ? file.get() : 0, trust, input);
    });
    for (const Loaded& image : loaded) {
        for (const std::string& name : image.names) std::printf("Loaded image: %s\n", name.c_str());
        if (image.names.empty()) std::printf("Loaded image ID: %s\n", image.id.text().c_str());
    }
    collect.keep();
    return 0;
}

constinit const Command load_command = {
    .name = "load",
    .synopsis = "",
    .summary = "read images from an archive that docker, podman, skopeo, containerd or keg wrote",
    .options = load_options,
    .most = 0,
    .interspersed = true,
    .run = load,
};
