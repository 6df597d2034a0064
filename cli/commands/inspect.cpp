// A word may name a container, an image, a network or a volume, which are looked for in that order.
// With a template each object is printed when it is found; without one all are a single array,
// which is whole only at the end. What led nowhere is said on standard error after that, so
// standard output is flushed before.
#include <algorithm>
#include <cstdio>

#include "cli/commands.h"
#include "cli/documents.h"
#include "cli/image_inspect.h"
#include "cli/template.h"
#include "engine/inspect.h"

namespace {

constexpr Option object_options[] = {
    {"format,f", "TEMPLATE", "a template, or json"},
    {"size,s", nullptr, "", "", true},
    {"type", "KIND", "container, image, network or volume"},
};

std::optional<json::Value> find_object(const Arguments& globals, const std::string& name,
                                       const std::string& type) {
    if (type.empty() || type == "container")
        if (const auto container = Containers(store_root(globals)).find(name))
            return inspect_container(*container);
    if (type.empty() || type == "image") {
        const Store store = open_store(globals);
        if (const auto image = store.find(name))
            return json::parse(image_inspect_json(store, *image));
    }
    if (!type.empty() && type != "network" && type != "volume") return {};
    const Store store = open_store(globals);
    const Containers containers(store.root());
    if (type.empty() || type == "network")
        if (const auto network = find_network(store.root(), name))
            return network_document(containers, *network);
    if (type.empty() || type == "volume")
        for (const Volume& volume : list_volumes(containers))
            if (volume.name == name) return volume_document(volume);
    return {};
}

int inspect_objects(const Arguments& globals, const Arguments& args) {
    const std::string type = args.get("type"), format = args.get("format");
    static constexpr const char* kinds[] = {"container", "image", "network", "volume"};
    if (!type.empty() && std::ranges::find(kinds, type) == std::end(kinds))
        throw Error("--type ", quoted(type),
                    " is not supported; known are container, image, network, volume");
    std::optional<Template> shown;
    if (!format.empty() && format != "json") shown.emplace(format);
    json::Value all = json::Value::array();
    std::string missing;
    for (const std::string& name : args.words()) {
        const auto object = find_object(globals, name, type);
        if (!object)
            missing += str(missing.empty() ? "" : "\n", "keg: No such ",
                           type.empty() ? "object" : type, ": ", name);
        else if (shown)
            std::printf("%s\n", shown->render(*object).c_str());
        else
            all.push_back(*object);
    }
    if (!shown) std::printf("%s\n", json::dump(all, format == "json" ? -1 : 4).c_str());
    if (missing.empty()) return 0;
    std::fflush(stdout);
    std::fprintf(stderr, "%s\n", missing.c_str());
    return 1;
}

}  // namespace

constinit const Command inspect_command = {
    .name = "inspect",
    .synopsis = "NAME|ID [NAME|ID...]",
    .summary = "show everything about containers, images, networks and volumes, as JSON",
    .options = object_options,
    .least = 1,
    .interspersed = true,
    .run = inspect_objects,
};
