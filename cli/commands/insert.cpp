// Three forms: a file, a directory that is merged with what is there, and, by --opaque, one in
// place of it; --whiteout takes away. Each is one layer, whose size is that of what it brings: what
// lies below is hidden, and stays in the image.
#include "cli/change_options.h"
#include "cli/commands.h"
#include "image/layer/diff.h"
#include "image/layer/rules.h"

namespace {

constexpr Option insert_options[] = {
    {"opaque", nullptr, "of a directory: nothing that was in it is seen any more"},
    {"whiteout", nullptr, "take the target away, without a source"},
    new_tag_option,
    author_option,
    message_option,
    created_by_option,
};

std::string read_target(const std::string& typed) {
    std::string target = clean_path(typed);
    for (const std::string& part : split(target, '/')) require_name(part, typed);
    return target;
}

Snapshots::NewLayer make_layer(const Store& store, const Arguments& args) {
    const std::string target = read_target(args.words().back());
    return Snapshots(store).new_layer([&](const Snapshots::LayerSink& sink) {
        // What a user without root puts in is not his own there, but root's.
        const LayerStyle style{.clamp = {.latest = source_date()},
                               .ownership = {.rootless = ::geteuid() != 0}};
        if (!args.flag("whiteout"))
            return write_layer_of_copy(args[1], target, args.flag("opaque"), style, sink);
        if (target.empty()) throw Error("/ cannot be taken away");
        return write_layer(Root("/"), {{target, TreeChange::gone}}, style, sink);
    });
}

int insert(const Arguments& globals, const Arguments& args) {
    const bool takes_away = args.flag("whiteout");
    if (takes_away && args.flag("opaque"))
        throw Error("conflicting options: --opaque and --whiteout");
    if (args.size() != (takes_away ? 2 : 3))
        throw Error(takes_away ? "--whiteout takes IMAGE TARGET"
                               : "insert takes IMAGE SOURCE TARGET");
    change_image(globals, args, "keg insert",
                 [&](const Store& store, Image& image, spec::History entry) {
                     add_layer(image, make_layer(store, args), std::move(entry));
                 });
    return 0;
}

}  // namespace

constinit const Command insert_command = {
    .name = "insert",
    .synopsis = "IMAGE SOURCE TARGET | --whiteout IMAGE TARGET",
    .summary = "put a file or a directory into an image, or take one away",
    .options = insert_options,
    .least = 2,
    .most = 3,
    .interspersed = true,
    .run = insert,
};
