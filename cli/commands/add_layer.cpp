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
    change_image(
        globals, args, "keg add-layer",
        [&](const Store& store, Image& image, spec::History entry) {
            add_layer(image, take_layer(store, file ? file.get() : 0), std::move(entry));
        },
        file ? args[1] : "standard input");
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
