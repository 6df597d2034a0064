// What is hard is that things share: two images a layer, an image and a container all. A byte
// counts once, for the images; it can be had back if no container needs it. A container's are those
// that it wrote itself.
#include <cstdio>
#include <set>

#include "base/directory.h"
#include "base/progress.h"
#include "base/tree_walk.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "engine/container.h"

namespace {

constexpr Option system_df_options[] = {
    {"format", "FORMAT", "a template, json or table"},
};

constexpr Column columns[] = {
    {"Type", "TYPE"}, {"TotalCount", "TOTAL"},        {"Active", "ACTIVE"},
    {"Size", "SIZE"}, {"Reclaimable", "RECLAIMABLE"},
};

struct Share {
    size_t total = 0, active = 0;
    uint64_t bytes = 0, reclaimable = 0;

    void add(uint64_t size, bool is_active) {
        ++total, active += is_active;
        bytes += size, reclaimable += is_active ? 0 : size;
    }
};

json::Value row(const char* type, const Share& share, bool with_percent = true) {
    std::string reclaimable = human_size(share.reclaimable);
    if (with_percent && share.bytes > 0)
        reclaimable += str(" (", share.reclaimable * 100 / share.bytes, "%)");
    return {{"Type", type},
            {"TotalCount", std::to_string(share.total)},
            {"Active", std::to_string(share.active)},
            {"Size", human_size(share.bytes)},
            {"Reclaimable", reclaimable}};
}

Share of_images(const Store& store) {
    std::set<std::string> used, all;
    for (const ImageUser& user : image_users(store.root()).users) used.insert(user.image_id);
    Share share;
    for (const NamedImage& named : store.images())
        if (const auto image = store.try_load(named.descriptor)) all.insert(image->id().text());
    for (const std::string& id : all) share.add(0, used.contains(id));
    const Store::DiskUse use = store.disk_use(layers_in_use(store.root()), used);
    share.bytes = use.bytes, share.reclaimable = use.reclaimable;
    return share;
}

struct OfContainers {
    Share containers;
    std::set<std::string> volumes;  // that they use
};

OfContainers of_containers(const Store& store) {
    OfContainers found;
    const Containers containers(store.root());
    for (const ImageUser& user : image_users(store.root()).users) {
        const auto container = containers.find(user.container_id);
        if (!container) continue;  // removed meanwhile
        found.containers.add(disk_usage(container->file("upper")), user.running);
        for (const VolumeMount& mount : container->settings().mounts)
            if (mount.type == "volume") found.volumes.insert(mount.source);
    }
    return found;
}

Share of_volumes(const Store& store, const std::set<std::string>& used) {
    Share share;
    const std::string directory = store.root() + "/volumes";
    for (const std::string& name : names_in_if_exists(directory))
        if (!name.starts_with('.'))
            share.add(disk_usage(str(directory, "/", name, "/_data")), used.contains(name));
    return share;
}

Share of_cache(const Store& store) {
    Share share;
    const std::string directory = store.root() + "/cache";
    for (const std::string& name : names_in_if_exists(directory))
        if (!name.starts_with('.')) share.add(disk_usage(directory + "/" + name), false);
    return share;
}

int system_df(const Arguments& globals, const Arguments& args) {
    const Store store = open_store(globals);
    const OfContainers containers = of_containers(store);
    print_listing(args.get("format"),
                  "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}", columns,
                  std::vector<json::Value>{
                      row("Images", of_images(store)), row("Containers", containers.containers),
                      row("Local Volumes", of_volumes(store, containers.volumes)),
                      row("Build Cache", of_cache(store), false)});
    return 0;
}

}  // namespace

constinit const Command system_df_command = {
    .name = "system df",
    .synopsis = "",
    .summary = "show what images, containers and volumes take of the disk",
    .options = system_df_options,
    .most = 0,
    .interspersed = true,
    .run = system_df,
};
