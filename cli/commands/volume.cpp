// `keg volume`. A volume is a directory that may be there without a row in the table: a container
// made it by its name. And Docker's prune takes those without a name alone, unless it is told -a.
#include <algorithm>
#include <cstdio>

#include "base/progress.h"
#include "base/tree_walk.h"
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/containers.h"
#include "cli/documents.h"
#include "cli/format.h"
#include "cli/template.h"

namespace {

constexpr Option volume_create_options[] = {
    {"driver,d", "DRIVER", "local", "local"},
    {"label", "KEY[=VALUE]", "set metadata"},
    {"name", "NAME", "", "", true},
    {"opt,o", "NAME=VALUE", "", "", true},
};
constexpr Option volume_ls_options[] = {
    {"filter,f", "KEY=VALUE", "only those: name, label, dangling, driver"},
    {"format", "FORMAT", "a template, json or table"},
    {"quiet,q", nullptr, "only the names"},
};
constexpr Option volume_inspect_options[] = {
    {"format,f", "TEMPLATE", "a template, or json"},
};
constexpr Option volume_rm_options[] = {
    {"force,f", nullptr, "one that is not there is no error"},
};
constexpr Option volume_prune_options[] = {
    {"all,a", nullptr, "those with a name, too"},
    {"filter", "KEY=VALUE", "only those: label"},
    {"force,f", nullptr, "do not ask"},
};

constexpr Column volume_columns[] = {
    {"Driver", "DRIVER"}, {"Name", "VOLUME NAME"},      {"Labels", "LABELS"},
    {"Links", "LINKS"},   {"Mountpoint", "MOUNTPOINT"}, {"Scope", "SCOPE"},
};

std::map<std::string, std::string> labels_of(const Arguments& args) {
    std::map<std::string, std::string> out;
    for (const std::string& typed : args.all("label")) {
        const size_t equals = typed.find('=');
        out[typed.substr(0, equals)] = equals == std::string::npos ? "" : typed.substr(equals + 1);
    }
    return out;
}

int volume_create(const Arguments& globals, const Arguments& args) {
    if (args.get("driver") != "local")
        throw Error("volume driver ", quoted(args.get("driver")), " is not supported");
    if (args.has("opt"))
        throw Error("--opt is not supported: a volume is a directory of the store");
    if (args.has("name") && args.size() > 0)
        throw Error("conflicting options: cannot specify a volume-name through both --name and as "
                    "a positional arg");
    const Store store = open_store(globals);
    const std::string name = args.size() > 0 ? args[0] : args.get("name");
    std::printf("%s\n", create_volume(Containers(store.root()), name, labels_of(args)).c_str());
    return 0;
}

bool is_wanted_volume(const Volume& volume, const Filters& filters) {
    const auto holds = [&](const std::string& key, const std::string& value) {
        if (key == "name") return volume.name.find(value) != std::string::npos;
        if (key == "dangling") return volume.users.empty() == (value == "true" || value == "1");
        if (key == "driver") return value == "local";
        return has_label(volume.labels, value);
    };
    return all_hold(filters, holds);
}

int volume_ls(const Arguments& globals, const Arguments& args) {
    static constexpr const char* known[] = {"name", "label", "dangling", "driver"};
    const Filters filters = parse_filters(args.all("filter"), known);
    std::vector<json::Value> rows;
    for (const Volume& volume : list_volumes(Containers(store_root(globals)))) {
        if (!is_wanted_volume(volume, filters)) continue;
        std::vector<std::string> labels;
        for (const auto& [key, value] : volume.labels) labels.push_back(key + "=" + value);
        rows.push_back({{"Driver", "local"},
                        {"Name", volume.name},
                        {"Labels", join(labels, ",")},
                        {"Links", str(volume.users.size())},
                        {"Mountpoint", volume.directory},
                        {"Scope", "local"}});
    }
    if (args.flag("quiet")) {
        for (const json::Value& one : rows)
            std::printf("%s\n", one["Name"].get<std::string>().c_str());
        return 0;
    }
    print_listing(args.get("format"), "{{.Driver}}\t{{.Name}}", volume_columns, rows);
    return 0;
}

}  // namespace

json::Value volume_document(const Volume& volume) {
    json::Value labels = nullptr;
    for (const auto& [key, value] : volume.labels) labels[key] = value;
    return {{"CreatedAt", volume.created},
            {"Driver", "local"},
            {"Labels", labels},
            {"Mountpoint", volume.directory},
            {"Name", volume.name},
            {"Options", nullptr},
            {"Scope", "local"}};
}

namespace {

int volume_inspect(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    const std::string format = args.get("format");
    json::Value all = json::Value::array();
    const int code = for_each_word(args.words(), false, [&](const std::string& name) {
        return all.push_back(volume_document(get_volume(containers, name))), true;
    });
    if (!format.empty() && format != "json")
        for (const json::Value& one : all)
            std::printf("%s\n", Template(format).render(one).c_str());
    else
        std::printf("%s\n", json::dump(all, format == "json" ? -1 : 4).c_str());
    return code;
}

int volume_rm(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    return for_each_word(args.words(), true, [&](const std::string& name) {
        if (args.flag("force")) {
            const auto all = list_volumes(containers);
            if (std::ranges::find(all, name, &Volume::name) == all.end()) return true;
        }
        return remove_volume(containers, name), true;
    });
}

int volume_prune(const Arguments& globals, const Arguments& args) {
    static constexpr const char* known[] = {"label"};
    const Filters filters = parse_filters(args.all("filter"), known);
    const bool all = args.flag("all");
    if (!args.flag("force") &&
        !is_confirmed(all ? "all volumes not used by at least one container"
                          : "anonymous local volumes not used by at least one container"))
        return 0;
    const Containers containers(store_root(globals));
    uint64_t freed = 0;
    bool said = false;
    for (const Volume& volume : list_volumes(containers)) {
        if (!volume.users.empty() || (!all && !volume.anonymous) ||
            !is_wanted_volume(volume, filters))
            continue;
        const uint64_t bytes = disk_usage(volume.directory);
        remove_volume(containers, volume.name);
        if (!std::exchange(said, true)) std::printf("Deleted Volumes:\n");
        std::printf("%s\n", volume.name.c_str());
        freed += bytes;
    }
    std::printf("%sTotal reclaimed space: %s\n", said ? "\n" : "", human_size(freed).c_str());
    return 0;
}

}  // namespace

constinit const Command volume_create_command = {
    .name = "volume create",
    .synopsis = "[VOLUME]",
    .summary = "make a volume",
    .options = volume_create_options,
    .most = 1,
    .interspersed = true,
    .run = volume_create,
};
constinit const Command volume_inspect_command = {
    .name = "volume inspect",
    .synopsis = "VOLUME [VOLUME...]",
    .summary = "show everything about volumes, as JSON",
    .options = volume_inspect_options,
    .least = 1,
    .interspersed = true,
    .run = volume_inspect,
};
constinit const Command volume_ls_command = {
    .name = "volume ls",
    .synopsis = "",
    .summary = "list volumes",
    .options = volume_ls_options,
    .most = 0,
    .interspersed = true,
    .run = volume_ls,
};
constinit const Command volume_prune_command = {
    .name = "volume prune",
    .synopsis = "",
    .summary = "remove volumes that no container has",
    .options = volume_prune_options,
    .most = 0,
    .interspersed = true,
    .run = volume_prune,
};
constinit const Command volume_rm_command = {
    .name = "volume rm",
    .synopsis = "VOLUME [VOLUME...]",
    .summary = "remove volumes",
    .options = volume_rm_options,
    .least = 1,
    .interspersed = true,
    .run = volume_rm,
};
