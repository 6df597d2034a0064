#include "cli/commands.h"
#include "cli/containers.h"
#include "engine/lifecycle.h"

static int pause(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    return for_each_container(containers, args.words(), true,
                              [&](const Container& c) { pause_container(containers, c); });
}

static int unpause(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    return for_each_container(containers, args.words(), true,
                              [&](const Container& c) { resume_container(containers, c); });
}

constinit const Command pause_command = {
    .name = "pause",
    .synopsis = "CONTAINER [CONTAINER...]",
    .summary = "freeze all processes of containers",
    .least = 1,
    .run = pause,
};

constinit const Command unpause_command = {
    .name = "unpause",
    .synopsis = "CONTAINER [CONTAINER...]",
    .summary = "let paused containers go on",
    .least = 1,
    .run = unpause,
};
