// Whether a tag was typed decides what is pushed, and only the words say it: a name without one
// means "latest", or all there are with -a.
#include <cstdio>

#include "base/progress.h"
#include "cli/commands.h"
#include "cli/compression_option.h"
#include "image/push.h"

namespace {

constexpr Option push_options[] = {
    {"all-tags,a", nullptr, "push all tags of the repository"},
    {"compression", "FORMAT", "of layers that are kept plain: gzip, zstd or none"},
    compression_level_option,
    {"platform", "OS/ARCH", "of an image for several platforms, that one's image alone"},
    {"quiet,q", nullptr, "print only the name"},
};

std::vector<std::string> tags_of(const Store& store, const Reference& name) {
    std::vector<std::string> tags;
    for (const NamedImage& image : store.images())
        if (image.name && image.name->repository() == name.repository() && !image.name->tag.empty())
            tags.push_back(image.name->tag);
    if (tags.empty())
        throw Error("An image does not exist locally with the tag: ", name.familiar_repository());
    return tags;
}

int push_(const Arguments& globals, const Arguments& args) {
    const Reference name = parse_reference(args[0]);
    if (!name.digest.empty()) throw Error("cannot push a digest reference");
    const bool quiet = args.flag("quiet"), all = args.flag("all-tags");
    if (all && has_tag_or_digest(args[0])) throw Error("tag can't be used with --all-tags/-a");
    const PushOptions wanted{.platform = args.get("platform"),
                             .compression = read_compression(args)};
    const Store store = open_store(globals);
    const std::vector<std::string> tags =
        all ? tags_of(store, name) : std::vector<std::string>{name.tag};
    Progress::set_quiet(quiet);
    if (!quiet && !all && !has_tag_or_digest(args[0])) std::printf("Using default tag: latest\n");
    if (!quiet) std::printf("The push refers to repository [%s]\n", name.repository().c_str());
    std::fflush(stdout);
    push(store, name, tags, wanted, [&](const Pushed& pushed) {
        if (!pushed.note.empty()) std::fprintf(stderr, "%s\n", pushed.note.c_str());
        if (!quiet)
            std::printf("%s: digest: %s size: %lld\n", pushed.tag.c_str(),
                        pushed.manifest.digest.c_str(),
                        static_cast<long long>(pushed.manifest.size));
        std::fflush(stdout);
    });
    if (quiet) std::printf("%s\n", (all ? name.repository() : name.canonical()).c_str());
    return 0;
}

}  // namespace

constinit const Command push_command = {
    .name = "push",
    .synopsis = "NAME[:TAG]",
    .summary = "send an image to a registry",
    .options = push_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = push_,
};
