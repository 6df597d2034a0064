// What is hard is that things share: two images a layer, an image and a container all. A byte
// counts once, for the images; it can be had back if no container needs it. A container's are those
// that it wrote itself. What the summary counts, and -v lists, was looked at once.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <set>

#include "base/directory.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/sys.h"
#include "base/tree_walk.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "engine/status.h"
#include "image/build_cache.h"

namespace {

constexpr Option system_df_options[] = {
    {"format", "FORMAT", "a template, json or table"},
    {"verbose,v", nullptr, "each image, container, volume and record of the cache"},
};

constexpr Column columns[] = {
    {"Type", "TYPE"}, {"TotalCount", "TOTAL"},        {"Active", "ACTIVE"},
    {"Size", "SIZE"}, {"Reclaimable", "RECLAIMABLE"},
};

long long now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

// One kind of what takes the disk.
struct Kind {
    size_t total = 0, active = 0;
    uint64_t bytes = 0, reclaimable = 0;
    std::vector<json::Value> rows;  // of its table

    void add(uint64_t size, bool is_active, json::Value row) {
        ++total, active += is_active;
        bytes += size, reclaimable += is_active ? 0 : size;
        rows.push_back(std::move(row));
    }
};

struct DiskUse {
    Kind images, containers, volumes, cache;
};

// --- looking

std::vector<json::Value> rows_of_image(const std::string& id, const Store::DiskUse::OfImage& image,
                                       size_t users) {
    std::vector<json::Value> rows;
    const auto add = [&](const std::string& repository, const std::string& tag) {
        rows.push_back({{"Repository", repository},
                        {"Tag", tag},
                        {"ID", Digest(id).short_hex()},
                        {"CreatedSince", time_since(image.created)},
                        {"Size", human_size(image.shared + image.unique)},
                        {"SharedSize", human_size(image.shared)},
                        {"UniqueSize", human_size(image.unique)},
                        {"Containers", str(users)}});
    };
    for (const Reference& name : image.names)
        add(name.familiar_repository(), name.tag.empty() ? "<none>" : name.tag);
    if (image.names.empty()) add("<none>", "<none>");
    return rows;
}

Kind look_at_images(const KnownContainers& containers, Store::DiskUse& use, const Store& store) {
    std::map<std::string, size_t> users;
    std::set<std::string> used;
    for (const KnownContainer& known : containers.all) {
        const std::string& id = known.container.settings().image_id;
        ++users[id], used.insert(id);
    }
    use = store.disk_use(containers.layers(), used);
    Kind kind{.total = use.images.size(), .bytes = use.bytes, .reclaimable = use.reclaimable};
    for (const auto& [id, image] : use.images) {
        kind.active += used.contains(id);
        std::ranges::move(rows_of_image(id, image, users[id]), std::back_inserter(kind.rows));
    }
    return kind;
}

size_t volumes_of(const Settings& settings) {
    return size_t(std::ranges::count(settings.mounts, "volume", &VolumeMount::type));
}

Kind look_at_containers(const KnownContainers& containers) {
    Kind kind;
    for (const auto& [container, state, layers] : containers.all) {
        const Settings& settings = container.settings();
        const uint64_t bytes = disk_usage(container.file("upper"));
        kind.add(bytes, state.status == "running" || state.status == "paused",
                 {{"ID", settings.id.substr(0, 12)},
                  {"Image", settings.image},
                  {"Command", quoted(shortened(join(arguments(settings), " "), 20))},
                  {"LocalVolumes", str(volumes_of(settings))},
                  {"Size", human_size(bytes)},
                  {"RunningFor", time_since(settings.created)},
                  {"Status", status_words(state, now())},
                  {"Names", settings.name}});
    }
    return kind;
}

Kind look_at_volumes(const Store& store, const KnownContainers& containers) {
    std::map<std::string, size_t> links;
    for (const KnownContainer& known : containers.all)
        for (const VolumeMount& mount : known.container.settings().mounts)
            if (mount.type == "volume") ++links[mount.source];
    Kind kind;
    const std::string directory = store.root() + "/volumes";
    for (const std::string& name : names_in_if_exists(directory)) {
        if (name.starts_with('.')) continue;
        const uint64_t bytes = disk_usage(str(directory, "/", name, "/_data"));
        kind.add(bytes, links[name] > 0,
                 {{"Name", name}, {"Links", str(links[name])}, {"Size", human_size(bytes)}});
    }
    return kind;
}

// What it shares with images counts there.
Kind look_at_cache(const Store& store, const Store::DiskUse& use) {
    Kind kind;
    for (const CacheRecord& record : cache_records(store.root()))
        if (!record.blob.empty())
            kind.rows.push_back(
                {{"ID", record.key.substr(0, 12)},
                 {"Size", human_size(record.bytes)},
                 {"CreatedSince", time_since(rfc3339(record.used * 1'000'000'000))}});
    kind.total = use.cache_records;
    kind.bytes = kind.reclaimable = use.cache_bytes;
    return kind;
}

DiskUse look(const Store& store) {
    const KnownContainers containers = known_containers(store.root());
    Store::DiskUse use;
    DiskUse out{.images = look_at_images(containers, use, store),
                .containers = look_at_containers(containers),
                .volumes = look_at_volumes(store, containers),
                .cache = {}};
    out.cache = look_at_cache(store, use);
    return out;
}

// --- showing

json::Value row(const char* type, const Kind& kind, bool with_percent = true) {
    std::string reclaimable = human_size(kind.reclaimable);
    if (with_percent && kind.bytes > 0)
        reclaimable += str(" (", kind.reclaimable * 100 / kind.bytes, "%)");
    return {{"Type", type},
            {"TotalCount", std::to_string(kind.total)},
            {"Active", std::to_string(kind.active)},
            {"Size", human_size(kind.bytes)},
            {"Reclaimable", reclaimable}};
}

void print_table(const std::string& title, const std::vector<Column>& shown, const Kind& kind) {
    std::vector<std::string> fields;
    for (const Column& column : shown) fields.push_back(str("{{.", column.name, "}}"));
    std::printf("%s\n\n", title.c_str());
    print_listing("", join(fields, "\t"), shown, kind.rows);
}

void print_each(const DiskUse& use) {
    print_table("Images space usage:",
                {{"Repository", "REPOSITORY"},
                 {"Tag", "TAG"},
                 {"ID", "IMAGE ID"},
                 {"CreatedSince", "CREATED"},
                 {"Size", "SIZE"},
                 {"SharedSize", "SHARED SIZE"},
                 {"UniqueSize", "UNIQUE SIZE"},
                 {"Containers", "CONTAINERS"}},
                use.images);
    print_table("\nContainers space usage:",
                {{"ID", "CONTAINER ID"},
                 {"Image", "IMAGE"},
                 {"Command", "COMMAND"},
                 {"LocalVolumes", "LOCAL VOLUMES"},
                 {"Size", "SIZE"},
                 {"RunningFor", "CREATED"},
                 {"Status", "STATUS"},
                 {"Names", "NAMES"}},
                use.containers);
    print_table("\nLocal Volumes space usage:",
                {{"Name", "VOLUME NAME"}, {"Links", "LINKS"}, {"Size", "SIZE"}}, use.volumes);
    print_table(str("\nBuild cache usage: ", human_size(use.cache.bytes)),
                {{"ID", "CACHE ID"}, {"Size", "SIZE"}, {"CreatedSince", "LAST USED"}}, use.cache);
}

int system_df(const Arguments& globals, const Arguments& args) {
    const bool each = args.flag("verbose");
    if (each && !args.get("format").empty())
        throw Error("the verbose and the format options conflict");
    const DiskUse use = look(open_store(globals));
    if (each) {
        print_each(use);
        return 0;
    }
    print_listing(args.get("format"),
                  "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}", columns,
                  std::vector<json::Value>{
                      row("Images", use.images), row("Containers", use.containers),
                      row("Local Volumes", use.volumes), row("Build Cache", use.cache, false)});
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
