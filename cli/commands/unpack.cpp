#include "cli/commands.h"
#include "image/bundle.h"

static constexpr Option options[] = {
    {"label-annotations", nullptr,
     "let every label of the image become an annotation, even what runtimes obey"},
    {"platform", "OS/ARCH", "of an image for several platforms, that one's"},
};

static int unpack(const Arguments& globals, const Arguments& args) {
    const Store store = open_store(globals);
    unpack_bundle(store, store.load(store.get(args[0]).descriptor, args.get("platform")), args[1],
                  {.label_annotations = args.flag("label-annotations")});
    return 0;
}

constinit const Command unpack_command = {
    .name = "unpack",
    .synopsis = "IMAGE DIRECTORY",
    .summary = "make a bundle (config.json and rootfs) that any OCI runtime runs",
    .options = options,
    .least = 2,
    .most = 2,
    .interspersed = true,
    .run = unpack,
};
