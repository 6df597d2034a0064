// The name is read before the container is: what cannot be named is not made.
#include "engine/commit.h"

#include "base/defer.h"
#include "cli/change_options.h"
#include "cli/commands.h"
#include "image/derive.h"

static constexpr Option commit_options[] = {
    {"author,a", "TEXT", "who made the image"},
    {"change,c", "INSTRUCTION",
     "apply a Dockerfile instruction to the image's settings: CMD, ENV …"},
    message_option,
    {"pause,p", nullptr, "freeze the container meanwhile (the default)", "true"},
};

static int commit(const Arguments& globals, const Arguments& args) {
    std::optional<Reference> name;
    if (args.size() > 1) name = name_for_new(args[1]);
    const Store store = open_store(globals);
    const Lease lease = store.use();
    const Containers containers(store.root());
    Defer collect([&] { collect_garbage(store); });
    const Image image = commit_container(containers, containers.get(args[0]), store, name,
                                         {.author = args.get("author"),
                                          .message = args.get("message"),
                                          .changes = args.all("change"),
                                          .pause = args.get("pause") == "true"});
    collect.keep();
    show_made(image);
    return 0;
}

constinit const Command commit_command = {
    .name = "commit",
    .synopsis = "CONTAINER [REPOSITORY[:TAG]]",
    .summary = "make an image of what a container has changed",
    .options = commit_options,
    .least = 1,
    .most = 2,
    .interspersed = true,
    .run = commit,
};
