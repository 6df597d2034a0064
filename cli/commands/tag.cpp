// A second name for an image: one look-up and one new index.json.
#include "cli/commands.h"

static int tag(const Arguments& globals, const Arguments& args) {
    const Reference name = parse_reference(args[1]);
    if (!name.digest.empty()) throw Error("refusing to create a tag with a digest reference");
    const Store store = open_store(globals);
    const FileLock meanwhile =
        store.keep_all();  // the image that is found is the one that is named
    store.tag(store.get(args[0]).descriptor, name);
    return 0;
}

constinit const Command tag_command = {
    .name = "tag",
    .synopsis = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    .summary = "give an image another name",
    .least = 2,
    .most = 2,
    .interspersed = true,
    .run = tag,
};
