// Docker's rules: a name is only taken away while the image has others; an ID with several names
// wants --force; what a container uses stays.
#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "cli/commands.h"
#include "image/manifest_list.h"
#include "image/variants.h"

namespace {

constexpr Option rmi_options[] = {
    {"force,f", nullptr, "also with several names, or used by a stopped container"},
    {"no-prune", nullptr, "keep the image's layers until the next image prune"},
    {"platform", "OS/ARCH,...", "of an image for several platforms, only those"},
};

// An image as far as it can be read: a damaged one is removed, too.
struct Target {
    NamedImage found;
    std::vector<Reference> names;
    std::string id;  // of its config; of its manifest if that cannot be read
    bool readable = true;

    std::string short_id() const { return Digest(id).short_hex(); }
};

Target look_up(const Store& store, const std::string& word) {
    Target target{.found = store.get(word), .names = {}, .id = {}};
    target.names = store.names_of(target.found.descriptor);
    if (is_for_others(store, target.found.descriptor)) {
        target.id = target.found.descriptor.digest;
        return target;
    }
    const auto image = store.try_load(target.found.descriptor);
    target.readable = image.has_value();
    target.id = image ? image->id().text() : target.found.descriptor.digest;
    if (!image) log_warning(str("image ", quoted(word), " cannot be read: ", image.error().what()));
    return target;
}

// Of an image that cannot be read only the name says who uses it.
bool uses(const ImageUser& user, const Target& target) {
    if (target.readable) return user.image_id == target.id;
    return std::ranges::any_of(target.names,
                               [&](const Reference& name) { return is_name(user.image, name); });
}

// `docker rmi` names the container that is in the way.
void refuse_if_used(const std::string& root, const Target& target, const std::string& word,
                    bool by_name, bool force) {
    const ImageUsers in_use = image_users(root);
    for (const ImageUser& user : in_use.users) {
        if (!uses(user, target)) continue;
        const std::string container = user.container_id.substr(0, 12);
        if (by_name && !force)
            throw Error("conflict: unable to remove repository reference ", quoted(word),
                        " (must force) - container ", container, " is using its referenced image ",
                        target.short_id());
        if (!by_name && user.running)
            throw Error("conflict: unable to delete ", target.short_id(),
                        " (cannot be forced) - image is being used by running container ",
                        container);
        if (!by_name && !force)
            throw Error("conflict: unable to delete ", target.short_id(),
                        " (must be forced) - image is being used by stopped container ", container);
    }
    if (!in_use.complete && !force)
        throw Error("conflict: unable to remove ", quoted(word),
                    " (must force) - a container that cannot be read may use it");
}

// Is the image gone, rather than one of its names?
bool remove(const Store& store, const std::string& word, bool force) {
    const Target target = look_up(store, word);
    const NamedImage& found = target.found;
    if (found.name && is_name(word, *found.name)) {
        if (target.names.size() == 1) refuse_if_used(store.root(), target, word, true, force);
        store.untag(*found.name);
        std::printf("Untagged: %s\n", found.name->familiar().c_str());
        if (target.names.size() > 1) return false;
    } else {
        if (target.names.size() > 1 && !force)
            throw Error("conflict: unable to delete ", target.short_id(),
                        " (must be forced) - image is referenced in multiple repositories");
        refuse_if_used(store.root(), target, word, false, force);
        store.remove(found.descriptor);
        for (const Reference& name : target.names)
            std::printf("Untagged: %s\n", name.familiar().c_str());
    }
    std::printf("Deleted: %s\n", target.id.c_str());
    return true;
}

// One platform's image of an index, which keeps its name and its digest.
bool remove_platform(const Store& store, const std::string& word, const std::string& platform,
                     bool force) {
    const NamedImage found = store.get(word);
    const spec::Descriptor manifest = get_variant(store, found, platform);
    if (manifest.digest == found.descriptor.digest) return remove(store, word, force);
    const std::string id = find_variant(store, found.descriptor, platform)->id;
    refuse_if_used(store.root(), {.found = found, .names = {}, .id = id}, word, false, force);
    remove_variant(store, manifest);
    std::printf("Deleted: %s\n", manifest.digest.c_str());
    return true;
}

bool remove_as_asked(const Store& store, const std::string& word, const Arguments& args) {
    const bool force = args.flag("force");
    if (!args.has("platform")) return remove(store, word, force);
    bool any_gone = false;
    for (const std::string& typed : args.all("platform"))
        for (const std::string& platform : split(typed, ','))
            any_gone |= remove_platform(store, word, platform, force);
    return any_gone;
}

int rmi(const Arguments& globals, const Arguments& args) {
    const Store store = open_store(globals);
    int code = 0;
    bool any_gone = false;
    for (const std::string& word : args.words()) {
        // As with rm(1), what is wrong with one must not keep the others.
        try {
            any_gone |= remove_as_asked(store, word, args);
        } catch (const Error& e) {
            std::fflush(stdout);
            std::fprintf(stderr, "keg: %s\n", visible(e.what(), "\n").c_str());
            code = 1;
        }
    }
    if (any_gone && !args.flag("no-prune")) collect_garbage(store);
    return code;
}

}  // namespace

constinit const Command rmi_command = {
    .name = "rmi",
    .synopsis = "IMAGE [IMAGE...]",
    .summary = "remove images",
    .options = rmi_options,
    .least = 1,
    .interspersed = true,
    .run = rmi,
};
