// Docker's last line says whether the name means something else than before, which only the store
// knows: it is asked before and after. Whether a tag was typed is seen behind the last "/", where a
// ":" is no registry's port.
#include <cstdio>

#include "base/progress.h"
#include "cli/commands.h"
#include "cli/trust_options.h"
#include "image/pull.h"

static constexpr Option pull_options[] = {
    {"platform", "OS/ARCH", "not this machine's but that platform's image"},
    {"quiet,q", nullptr, "print only the name"},
    verify_key_option,
};

static int pull_(const Arguments& globals, const Arguments& args) {
    const Reference name = parse_reference(args[0]);
    const TrustPolicy trust = read_trust(globals, args);
    const bool quiet = args.flag("quiet");
    if (quiet) Progress::set_quiet(true);
    const Store store = open_store(globals);
    const auto before = store.find(name.familiar());

    if (!quiet && !has_tag_or_digest(args[0])) std::printf("Using default tag: latest\n");
    if (!quiet)
        std::printf("%s: Pulling from %s\n", (name.tag.empty() ? name.digest : name.tag).c_str(),
                    name.path.c_str());
    std::fflush(stdout);
    pull(store, name, trust, {.platform = args.get("platform")});

    const NamedImage after = store.get(name.familiar());
    const bool same = before && before->descriptor.digest == after.descriptor.digest;
    if (!quiet)
        std::printf("Digest: %s\nStatus: %s for %s\n", after.descriptor.digest.c_str(),
                    same ? "Image is up to date" : "Downloaded newer image",
                    name.familiar().c_str());
    std::printf("%s\n", name.canonical().c_str());
    return 0;
}

constinit const Command pull_command = {
    .name = "pull",
    .synopsis = "NAME[:TAG|@DIGEST]",
    .summary = "fetch an image from a registry",
    .options = pull_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = pull_,
};
