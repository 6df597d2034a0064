// An ordinary user cannot give files away, nor mount. What he unpacks is all his own, for a
// container in which he is root; so it is with --rootless for root, too.
#include "cli/commands.h"
#include "image/bundle.h"

namespace {

constexpr Option unpack_options[] = {
    {"gid-map", "CONTAINER:HOST[:SIZE]",
     "which groups of the host those of the container are; may be given several times"},
    {"label-annotations", nullptr,
     "let every label of the image become an annotation, even what runtimes obey"},
    {"platform", "OS/ARCH", "of an image for several platforms, that one's"},
    {"rootless", nullptr,
     "let all files be the caller's, for a container without root (the default of other users)"},
    {"uid-map", "CONTAINER:HOST[:SIZE]",
     "which users of the host those of the container are; may be given several times"},
};

std::vector<spec::IdMapping> read_maps(const Arguments& args, const char* option) {
    std::vector<spec::IdMapping> maps;
    for (const std::string& typed : args.all(option))
        context(str("--", option), [&] { maps.push_back(parse_id_mapping(typed)); });
    return maps;
}

Ownership read_ownership(const Arguments& args) {
    Ownership ownership{.uids = read_maps(args, "uid-map"), .gids = read_maps(args, "gid-map")};
    if (ownership.uids.empty() != ownership.gids.empty())
        throw Error("--uid-map and --gid-map belong together");
    ownership.rootless = args.flag("rootless") || ::geteuid() != 0;
    if (!ownership.rootless) return ownership;
    if (!ownership.uids.empty())
        throw Error("--uid-map and --gid-map need root, and are not for --rootless");
    ownership.uids = {{.container_id = 0, .host_id = ::geteuid(), .size = 1}};
    ownership.gids = {{.container_id = 0, .host_id = ::getegid(), .size = 1}};
    return ownership;
}

int unpack(const Arguments& globals, const Arguments& args) {
    const Ownership ownership = read_ownership(args);
    const Store store = open_store(globals);
    become_root_of_own_files();
    unpack_bundle(store, store.load(store.get(args[0]).descriptor, args.get("platform")), args[1],
                  {.label_annotations = args.flag("label-annotations"), .ownership = ownership});
    return 0;
}

}  // namespace

constinit const Command unpack_command = {
    .name = "unpack",
    .synopsis = "IMAGE DIRECTORY",
    .summary = "make a bundle (config.json and rootfs) that any OCI runtime runs",
    .options = unpack_options,
    .least = 2,
    .most = 2,
    .interspersed = true,
    .run = unpack,
};
