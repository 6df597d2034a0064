// Whoever makes an image makes plain tars, once. This is where another form is asked for.
#include "image/convert.h"

#include "cli/change_options.h"
#include "cli/commands.h"

namespace {

constexpr Option convert_options[] = {
    {"layers", "FORM", "erofs or erofs+zstd: images that are mounted as they are", "erofs"},
    new_tag_option,
};

LayerForm parse_form(const std::string& typed) {
    if (typed == "erofs") return LayerForm::erofs;
    if (typed == "erofs+zstd") return LayerForm::erofs_zstd;
    throw Error("unknown form of layers ", quoted(typed), "; known are erofs, erofs+zstd");
}

int convert(const Arguments& globals, const Arguments& args) {
    const LayerForm form = parse_form(args.get("layers"));
    remake_image(globals, args, [&](const Store& store, Image& image) {
        image = convert_layers(store, std::move(image), form);
    });
    return 0;
}

}  // namespace

constinit const Command convert_command = {
    .name = "convert",
    .synopsis = "IMAGE",
    .summary = "write an image's layers in another form",
    .options = convert_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = convert,
};
