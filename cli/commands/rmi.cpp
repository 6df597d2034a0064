// Docker's rules: a name is only taken away while the image has others; an ID with several names
// wants --force; what a container uses stays.
#include <cstdio>

#include "base/log.h"
#include "cli/commands.h"

namespace {

constexpr Option options[] = {
    {"force,f", nullptr, "also with several names, or used by a stopped container"},
    {"no-prune", nullptr, "keep the image's layers until the next image prune"},
};

std::vector<NamedImage> names_of(const Store& store, const spec::Descriptor& descriptor) {
    std::vector<NamedImage> out;
    for (NamedImage& other : store.images())
        if (other.name && other.descriptor.digest == descriptor.digest) out.push_back(other);
    return out;
}

// `docker rmi` names the container that is in the way.
void refuse_if_used(const std::string& root, const Image& image, const std::string& word, bool by_name, bool force) {
    for (const ImageUser& user : image_users(root)) {
        if (user.image_id != image.id().text()) continue;
        const std::string container = user.container_id.substr(0, 12);
        if (by_name && !force)
            throw Error("conflict: unable to remove repository reference ", quoted(word), " (must force) - container ", container,
                        " is using its referenced image ", image.id().short_hex());
        if (!by_name && user.running)
            throw Error("conflict: unable to delete ", image.id().short_hex(), " (cannot be forced) - image is being used by running container ", container);
        if (!by_name && !force)
            throw Error("conflict: unable to delete ", image.id().short_hex(), " (must be forced) - image is being used by stopped container ", container);
    }
}

void remove(const Store& store, const std::string& word, bool force) {
    const NamedImage found = store.get(word);
    const Image image = store.load(found.descriptor);
    const auto names = names_of(store, found.descriptor);
    if (found.name && is_name(word, *found.name)) {
        if (names.size() == 1) refuse_if_used(store.root(), image, word, true, force);
        store.untag(*found.name);
        std::printf("Untagged: %s\n", found.name->familiar().c_str());
        if (names.size() > 1) return;
    } else {
        if (names.size() > 1 && !force)
            throw Error("conflict: unable to delete ", image.id().short_hex(), " (must be forced) - image is referenced in multiple repositories");
        refuse_if_used(store.root(), image, word, false, force);
        store.remove(found.descriptor);
        for (const NamedImage& other : names) std::printf("Untagged: %s\n", other.name->familiar().c_str());
    }
    std::printf("Deleted: %s\n", image.id().text().c_str());
}

int rmi(const Arguments& globals, const Arguments& args) {
    const Store store = open_store(globals);
    int code = 0;
    for (const std::string& word : args.words()) {
        // As with rm(1), what is wrong with one must not keep the others.
        try {
            remove(store, word, args.flag("force"));
        } catch (const Error& e) {
            std::fflush(stdout);
            std::fprintf(stderr, "keg: %s\n", e.what());
            code = 1;
        }
    }
    if (!args.flag("no-prune")) collect_garbage(store);
    return code;
}

}  // namespace

constinit const Command rmi_command = {
    .name = "rmi",
    .synopsis = "IMAGE [IMAGE...]",
    .summary = "remove images",
    .options = options,
    .least = 1,
    .interspersed = true,
    .run = rmi,
};
