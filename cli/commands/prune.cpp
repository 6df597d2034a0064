// Names first, then the files: what a build or a pull at work needs stays, and nobody waits for it.
#include <cstdio>
#include <iostream>
#include <set>

#include "base/log.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "image/manifest_list.h"

namespace {

constexpr Option prune_options[] = {
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

// Removes the images that nothing uses from the index. One that cannot be read is named, and stays:
// rmi removes it.
bool remove_unused(const Store& store, bool all) {
    const ImageUsers in_use = image_users(store.root());
    if (!in_use.complete) return false;
    std::set<std::string> used, removed;
    for (const ImageUser& user : in_use.users) used.insert(user.image_id);
    bool said = false;
    for (const NamedImage& named : store.images()) {
        if (named.name && !all) continue;
        attempt(str("image ", quoted(named.shown()), " stays"), [&] {
            const std::string id = is_for_others(store, named.descriptor)
                                       ? named.descriptor.digest
                                       : store.load(named.descriptor).id().text();
            if (used.contains(id)) return;
            if (!said) std::printf("Deleted Images:\n");
            said = true;
            if (named.name) std::printf("untagged: %s\n", named.name->familiar().c_str());
            if (!removed.insert(named.descriptor.digest).second) return;
            store.remove(named.descriptor);
            std::printf("deleted: %s\n", id.c_str());
        });
    }
    if (said) std::printf("\n");
    return true;
}

int prune(const Arguments& globals, const Arguments& args) {
    const bool all = args.flag("all");
    if (!args.flag("force") &&
        !confirmed(all ? "all images without at least one container associated to them"
                       : "all dangling images"))
        return 0;
    const Store store = open_store(globals);
    if (!remove_unused(store, all))
        log_warning("no image is removed while a container cannot be read: it may use any (keg rm "
                    "-f removes it)");
    const uint64_t freed = store.gc([&] { return layers_in_use(store.root()); });
    std::printf("Total reclaimed space: %s\n", human_size(freed).c_str());
    return 0;
}

}  // namespace

constinit const Command image_prune_command = {
    .name = "image prune",
    .synopsis = "",
    .summary = "remove images that nothing uses, and free what they took",
    .options = prune_options,
    .most = 0,
    .interspersed = true,
    .run = prune,
};
