#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <set>

#include "base/progress.h"
#include "cli/commands.h"

namespace {

constexpr Option options[] = {
    {"all,a", nullptr, "every image that no container uses, not only dangling ones"},
    {"force,f", nullptr, "do not ask"},
};

bool confirmed(const char* what) {
    std::printf("WARNING! This will remove %s.\nAre you sure you want to continue? [y/N] ", what);
    std::fflush(stdout);
    std::string answer;
    std::getline(std::cin, answer);
    return lower(std::string(trim(answer))) == "y" || lower(std::string(trim(answer))) == "yes";
}

int prune(const Arguments& globals, const Arguments& args) {
    const bool all = args.flag("all");
    if (!args.flag("force") && !confirmed(all ? "all images without at least one container associated to them" : "all dangling images"))
        return 0;
    const Store store = open_store(globals);
    std::set<std::string> used;
    for (const ImageUser& user : image_users(store.root())) used.insert(user.image_id);
    bool said = false;
    std::set<std::string> removed;
    for (const NamedImage& named : store.images()) {
        if (named.name && !all) continue;
        attempt("removing an image", [&] {
            const Image image = store.load(named.descriptor);
            if (used.contains(image.id().text())) return;
            if (!said) std::printf("Deleted Images:\n");
            said = true;
            if (named.name) std::printf("untagged: %s\n", named.name->familiar().c_str());
            if (!removed.insert(named.descriptor.digest).second) return;
            store.remove(named.descriptor);
            std::printf("deleted: %s\n", image.id().text().c_str());
        });
    }
    if (said) std::printf("\n");
    std::printf("Total reclaimed space: %s\n", human_size(store.gc(layers_in_use(store))).c_str());
    return 0;
}

}  // namespace

constinit const Command image_prune_command = {
    .name = "image prune",
    .synopsis = "",
    .summary = "remove images that nothing uses, and free what they took",
    .options = options,
    .most = 0,
    .interspersed = true,
    .run = prune,
};
