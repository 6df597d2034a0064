#include "cli/commands.h"
#include "cli/containers.h"
#include "engine/lifecycle.h"

namespace {

constexpr Option rm_options[] = {
    {"force,f", nullptr, "kill running ones first"},
    {"volumes,v", nullptr, "remove their anonymous volumes too"},
};

int rm(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    const RemoveOptions how{.force = args.flag("force"), .volumes = args.flag("volumes")};
    const int code = for_each_word(args.words(), true, [&](const std::string& name) {
        if (const auto container = containers.find_even_damaged(name))
            return remove_container(containers, *container, how), true;
        if (!how.force) throw Error("No such container: ", name);
        // With force, what is not there is as wanted; Docker says so and exits with 0.
        std::fprintf(stderr, "keg: No such container: %s\n", name.c_str());
        return false;
    });
    containers.collect();
    return code;
}

}  // namespace

constinit const Command rm_command = {
    .name = "rm",
    .synopsis = "CONTAINER [CONTAINER...]",
    .summary = "remove containers",
    .options = rm_options,
    .least = 1,
    .interspersed = true,
    .run = rm,
};
