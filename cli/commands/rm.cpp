#include "cli/commands.h"
#include "cli/containers.h"
#include "engine/lifecycle.h"

namespace {

constexpr Option options[] = {
    {"force,f", nullptr, "kill running ones first"},
    {"volumes,v", nullptr, "remove their anonymous volumes too"},
};

int rm(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    const RemoveOptions how{.force = args.flag("force"), .volumes = args.flag("volumes")};
    std::vector<std::string> names = args.words();
    // With force, what is not there is as wanted; Docker says so and exits with 0.
    int code = 0;
    if (how.force)
        std::erase_if(names, [&](const std::string& name) {
            if (containers.find(name)) return false;
            std::fprintf(stderr, "Error: No such container: %s\n", name.c_str());
            return true;
        });
    code = for_each_container(containers, names, true, [&](const Container& c) { remove_container(containers, c, how); });
    containers.collect();
    return code;
}

}  // namespace

constinit const Command rm_command = {
    .name = "rm",
    .synopsis = "CONTAINER [CONTAINER...]",
    .summary = "remove containers",
    .options = options,
    .least = 1,
    .interspersed = true,
    .run = rm,
};
