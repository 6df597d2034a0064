// Several platforms of several images go into one archive: which is decided before anything is
// written, so that a name that is not there leaves no file.
#include "base/output_file.h"
#include "cli/commands.h"
#include "image/archive.h"

namespace {

constexpr Option save_options[] = {
    {"output,o", "FILE", "write there instead of to standard output"},
    {"format,f", "FORMAT", "docker-archive (which is an image layout as well) or oci-archive",
     "docker-archive"},
    {"platform", "OS/ARCH,...", "of an image for several platforms, those (once or more often)"},
    {"all-platforms", nullptr, "of an image for several platforms, all that are here"},
};

ArchiveFormat parse_format(const std::string& text) {
    if (text == "docker-archive") return ArchiveFormat::docker;
    if (text == "oci-archive") return ArchiveFormat::oci;
    throw Error("unknown format ", quoted(text), "; known are docker-archive, oci-archive");
}

PlatformChoice read_choice(const Arguments& args) {
    PlatformChoice choice{.all = args.flag("all-platforms")};
    for (const std::string& typed : args.all("platform"))
        for (std::string& platform : split(typed, ',')) choice.platforms.push_back(platform);
    if (choice.all && !choice.platforms.empty())
        throw Error("--all-platforms and --platform exclude each other");
    return choice;
}

int save(const Arguments& globals, const Arguments& args) {
    const ArchiveFormat format = parse_format(args.get("format"));
    const PlatformChoice choice = read_choice(args);
    const OutputFile output(args.get("output"));
    const Store store = open_store(globals);
    output.write([&](int fd) { save_archive(store, args.words(), format, fd, choice); });
    return 0;
}

}  // namespace

constinit const Command save_command = {
    .name = "save",
    .synopsis = "IMAGE [IMAGE...]",
    .summary = "write images to an archive that docker, podman, skopeo and containerd load",
    .options = save_options,
    .least = 1,
    .interspersed = true,
    .run = save,
};
