// A word that names no image does not hide the others: what was found is printed first, then the
// first word that was not found is the error. A template is read before the store is opened, so
// that a bad one is an error whatever there is to show.
#include "cli/image_inspect.h"

#include <cstdio>

#include "cli/commands.h"
#include "cli/template.h"

static constexpr Option image_inspect_options[] = {
    {"format,f", "FORMAT", "a template, or json"},
    {"platform", "OS/ARCH", "of an image for several platforms, that one's"},
};

static int image_inspect(const Arguments& globals, const Arguments& args) {
    const std::string format = args.get("format");
    std::optional<Template> layout;
    if (!format.empty() && format != "json") layout.emplace(format);
    const Store store = open_store(globals);
    json::Value found = json::Value::array();
    std::string missing;
    for (const std::string& word : args.words())
        if (const auto image = store.find(word))
            found.push_back(json::parse(image_inspect_json(store, *image, args.get("platform"))));
        else if (missing.empty())
            missing = word;
    if (layout)
        for (const json::Value& image : found) std::printf("%s\n", layout->render(image).c_str());
    else
        std::printf("%s\n", json::dump(found, format == "json" ? -1 : 4).c_str());
    if (!missing.empty()) throw Error("No such image: ", missing);
    return 0;
}

constinit const Command image_inspect_command = {
    .name = "image inspect",
    .synopsis = "IMAGE [IMAGE...]",
    .summary = "show all about images, as JSON",
    .options = image_inspect_options,
    .least = 1,
    .interspersed = true,
    .run = image_inspect,
};
