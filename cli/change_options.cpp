// What all commands share that make an image of another: which one, under which name, and in whose
// words.
#include "cli/change_options.h"

#include <cstdio>

#include "base/defer.h"
#include "cli/commands.h"

namespace {

// What is to be changed, and the name that the new image will have.
struct ToChange {
    Image image;
    std::optional<Reference> name;
};

// One that was named by its ID has no name to give away.
ToChange find_to_change(const Store& store, const std::string& typed, const Arguments& args) {
    std::optional<Reference> name;
    if (args.has("tag")) name = name_for_new(args.get("tag"));
    const NamedImage found = store.get(typed);
    if (!name && found.name && is_name(typed, *found.name)) name = found.name;
    return {.image = store.load(found.descriptor), .name = name};
}

}  // namespace

ChangeWords read_change_words(const Arguments& args, const std::string& command) {
    return {.author = args.get("author"),
            .message = args.get("message"),
            .created_by = args.value("created-by").value_or(command)};
}

void show_made(const Image& image) { std::printf("%s\n", image.id().text().c_str()); }

void remake_image(const Arguments& globals, const Arguments& args, const Remake& remake,
                  const std::string& source) {
    const Store store = open_store(globals);
    const Lease lease = store.use();
    Defer collect([&] { collect_garbage(store); });
    auto [image, name] = find_to_change(store, args[0], args);
    const auto make = [&] {
        remake(store, image);
        return publish(store, std::move(image), name);
    };
    show_made(source.empty() ? make() : context(source, make));
    collect.keep();
}

void change_image(const Arguments& globals, const Arguments& args, const std::string& command,
                  const Change& change, const std::string& source) {
    const auto remake = [&](const Store& store, Image& image) {
        change(store, image, note_change(image, read_change_words(args, command)));
    };
    remake_image(globals, args, remake, source);
}
