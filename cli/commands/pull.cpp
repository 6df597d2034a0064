// Docker's last line says whether the name means something else than before, which only the store
// knows: it is asked before and after. Whether a tag was typed is seen behind the last "/", where a
// ":" is no registry's port. Of all tags some are no images, but what belongs to one, a signature
// say: those are passed by; what fails does not keep the others away.
#include <cstdio>

#include "base/progress.h"
#include "cli/commands.h"
#include "cli/trust_options.h"
#include "image/pull.h"
#include "image/transport/stored.h"

namespace {

constexpr Option pull_options[] = {
    {"all-tags,a", nullptr, "all tags of the repository"},
    {"all-platforms", nullptr, "of an index all images, not this machine's alone"},
    {"platform", "OS/ARCH", "not this machine's but that platform's image"},
    {"quiet,q", nullptr, "print only the name"},
    verify_key_option,
};

PullOptions read_options(const Arguments& args) {
    const PullOptions options{.platform = args.get("platform"),
                              .all_platforms = args.flag("all-platforms")};
    if (options.all_platforms && !options.platform.empty())
        throw Error("--all-platforms and --platform exclude each other");
    return options;
}

void pull_one(const Store& store, const Reference& name, const TrustPolicy& trust, const PullOptions& options,
              bool quiet) {
    const auto before = store.find(name.familiar());
    if (!quiet)
        std::printf("%s: Pulling from %s\n", (name.tag.empty() ? name.digest : name.tag).c_str(),
                    name.path.c_str());
    std::fflush(stdout);
    pull(store, name, trust, options);
    const NamedImage after = store.get(name.familiar());
    const bool same = before && before->descriptor.digest == after.descriptor.digest;
    if (!quiet)
        std::printf("Digest: %s\nStatus: %s for %s\n", after.descriptor.digest.c_str(),
                    same ? "Image is up to date" : "Downloaded newer image",
                    name.familiar().c_str());
}

int pull_all(const Store& store, Reference name, const TrustPolicy& trust,
             const PullOptions& options, bool quiet) {
    bool failed = false;
    for (const std::string& tag : tags_to_pull(name)) {
        name.tag = tag;
        try {
            pull_one(store, name, trust, options, quiet);
        } catch (const NotAnImage& e) {
            std::fprintf(stderr, "%s: passed by\n", e.what());
        } catch (const Error& e) {
            std::fprintf(stderr, "keg: %s: %s\n", name.familiar().c_str(), e.what());
            failed = true;
        }
    }
    std::printf("%s\n", name.repository().c_str());
    return failed ? 1 : 0;
}

int pull_(const Arguments& globals, const Arguments& args) {
    const Reference name = parse_reference(args[0]);
    const bool quiet = args.flag("quiet"), all = args.flag("all-tags");
    if (quiet) Progress::set_quiet(true);
    if (all && has_tag_or_digest(args[0])) throw Error("tag can't be used with --all-tags/-a");
    const PullOptions options = read_options(args);
    const TrustPolicy trust = read_trust(globals, args);
    const Store store = open_store(globals);
    if (all) return pull_all(store, name, trust, options, quiet);
    if (!quiet && !has_tag_or_digest(args[0])) std::printf("Using default tag: latest\n");
    pull_one(store, name, trust, options, quiet);
    std::printf("%s\n", name.canonical().c_str());
    return 0;
}

}  // namespace

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
