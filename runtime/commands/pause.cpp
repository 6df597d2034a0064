#include "base/error.h"
#include "runtime/commands/commands.h"
#include "runtime/state/container.h"

static int pause(const Arguments& globals, const Arguments& args) {
    const Container container = Container::load(state_root(globals), args[0]);
    if (!rule_of(container.status()).pause) throw Error("container not running");
    container.cgroup().freeze();
    return 0;
}

static int resume(const Arguments& globals, const Arguments& args) {
    const Container container = Container::load(state_root(globals), args[0]);
    if (!rule_of(container.status()).resume) throw Error("container not paused");
    container.cgroup().thaw();
    return 0;
}

constinit const Command pause_command = {
    .name = "pause",
    .synopsis = "<container-id>",
    .summary = "pause suspends all processes inside the container",
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = pause,
};

constinit const Command resume_command = {
    .name = "resume",
    .synopsis = "<container-id>",
    .summary = "resumes all processes that have been previously paused",
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = resume,
};
