#include "image/repack.h"

#include "base/defer.h"
#include "cli/change_options.h"
#include "cli/commands.h"

static constexpr Option repack_options[] = {
    {"tag,t", "NAME[:TAG]", "name of the image"},
    {"refresh-bundle", nullptr, "let the bundle be the new image's, for the next repack"},
    author_option,
    message_option,
    created_by_option,
};

static int repack(const Arguments& globals, const Arguments& args) {
    std::optional<Reference> name;
    if (args.has("tag")) name = name_for_new(args.get("tag"));
    const Store store = open_store(globals);
    become_root_of_own_files();
    const Lease lease = store.use();
    Defer collect([&] { collect_garbage(store); });
    show_made(repack_bundle(
        store, args[0], name,
        {.words = read_change_words(args, "keg repack"), .refresh = args.flag("refresh-bundle")}));
    collect.keep();
    return 0;
}

constinit const Command repack_command = {
    .name = "repack",
    .synopsis = "BUNDLE",
    .summary = "make an image of a bundle of `keg unpack` that was edited",
    .options = repack_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = repack,
};
