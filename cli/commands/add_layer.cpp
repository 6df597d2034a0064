#include "base/defer.h"
#include "base/sys.h"
#include "cli/change_options.h"
#include "cli/commands.h"

static constexpr Option add_layer_options[] = {
    new_tag_option,
    author_option,
    message_option,
    created_by_option,
};

static int add_layer(const Arguments& globals, const Arguments& args) {
    const UniqueFd file = args[1] == "-" ? UniqueFd() : sys::open(args[1], O_RDONLY);
    const Store store = open_store(globals);
    const Lease lease = store.use();
    Defer collect([&] { collect_garbage(store); });
    auto [image, name] = find_to_change(store, args[0], args);
    show_made(context(file ? args[1] : "standard input", [&] {
        add_layer(image, take_layer(store, file ? file.get() : 0),
                  note_change(image, read_change_words(args, "keg add-layer")));
        return publish(store, std::move(image), name);
    }));
    collect.keep();
    return 0;
}

constinit const Command add_layer_command = {
    .name = "add-layer",
    .synopsis = "IMAGE FILE|-",
    .summary = "put a layer's tar, as it is, on top of an image",
    .options = add_layer_options,
    .least = 2,
    .most = 2,
    .interspersed = true,
    .run = add_layer,
};
