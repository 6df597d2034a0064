#include <cstdio>

#include "base/defer.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "image/archive.h"

static constexpr Option import_options[] = {
    {"change,c", "INSTRUCTION",
     "apply a Dockerfile instruction to the image's settings: CMD, ENV …"},
    {"message,m", "TEXT", "the comment in its history"},
};

static int import_(const Arguments& globals, const Arguments& args) {
    std::optional<Reference> name;
    if (args.size() > 1) name = parse_reference(args[1]);
    if (name && !name->digest.empty()) throw Error("cannot import digest reference");
    const UniqueFd file = args[0] == "-" ? UniqueFd() : sys::open(args[0], O_RDONLY);
    const Store store = open_store(globals);
    Defer collect([&] { collect_garbage(store); });
    const Image image = context(file ? args[0] : "standard input", [&] {
        return import_rootfs(store, file ? file.get() : 0, name, args.all("change"),
                             args.get("message"));
    });
    collect.keep();
    std::printf("%s\n", image.id().text().c_str());
    return 0;
}

constinit const Command import_command = {
    .name = "import",
    .synopsis = "FILE|- [REPOSITORY[:TAG]]",
    .summary = "make an image of a root file system's tarball",
    .options = import_options,
    .least = 1,
    .most = 2,
    .interspersed = true,
    .run = import_,
};
