// What all commands share that make an image of another: which one, under which name, and in whose
// words.
#include "cli/change_options.h"

#include <cstdio>

// One that was named by its ID has no name to give away.
ToChange find_to_change(const Store& store, const std::string& typed, const Arguments& args) {
    std::optional<Reference> name;
    if (args.has("tag")) name = name_for_new(args.get("tag"));
    const NamedImage found = store.get(typed);
    if (!name && found.name && is_name(typed, *found.name)) name = found.name;
    return {.image = store.load(found.descriptor), .name = name};
}

ChangeWords read_change_words(const Arguments& args, const std::string& command) {
    return {.author = args.get("author"),
            .message = args.get("message"),
            .created_by = args.value("created-by").value_or(command)};
}

void show_made(const Image& image) { std::printf("%s\n", image.id().text().c_str()); }
