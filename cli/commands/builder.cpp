// The build cache and the directories of RUN --mount=type=cache. Records go first, then what only
// they needed: what a build at work needs stays.
#include <time.h>

#include <cstdio>
#include <iostream>
#include <set>

#include "base/duration.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/size.h"
#include "base/sys.h"
#include "base/tree_walk.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "image/build_cache.h"

namespace {

constexpr Option builder_prune_options[] = {
    {"all,a", nullptr, "all of it, the directories of cache mounts too"},
    {"filter", "until=DURATION", "only what was not used for so long"},
    {"keep-storage", "BYTES", "keep what was used last, up to that size"},
    {"force,f", nullptr, "do not ask"},
};

bool may_remove(bool all) {
    std::printf("WARNING! This will remove %s build cache. Are you sure you want to continue? "
                "[y/N] ",
                all ? "all" : "all dangling");
    std::fflush(stdout);
    std::string answer;
    std::getline(std::cin, answer);
    answer = lower(std::string(trim(answer)));
    return answer == "y" || answer == "yes";
}

CacheLimits prune_limits(const Arguments& args) {
    CacheLimits limits{.age = std::chrono::seconds(0), .bytes = 0};
    if (const std::string kept = args.get("keep-storage"); !kept.empty()) {
        const auto bytes = parse_size(kept);
        if (!bytes || *bytes < 0)
            throw Error("invalid --keep-storage ", quoted(kept), ": expected a size");
        limits = {.age = std::chrono::hours(1 << 20), .bytes = uint64_t(*bytes)};
    }
    for (const std::string& filter : args.all("filter")) {
        const auto age =
            filter.starts_with("until=") ? parse_duration(filter.substr(6)) : std::nullopt;
        if (!age)
            throw Error("invalid --filter ", quoted(filter),
                        ": expected until=DURATION, as in until=24h");
        limits.age = std::chrono::duration_cast<std::chrono::seconds>(*age);
        if (args.get("keep-storage").empty()) limits.bytes = UINT64_MAX;
    }
    return limits;
}

int builder_prune(const Arguments& globals, const Arguments& args) {
    const CacheLimits limits = prune_limits(args);
    if (!args.flag("force") && !may_remove(args.flag("all"))) return 0;
    const Store store = open_store(globals);
    uint64_t freed = store.gc([&] { return layers_in_use(store.root()); }, limits);
    if (args.flag("all")) forget_files(store.root());
    const int64_t oldest = ::time(nullptr) - limits.age.count();
    for (const CacheMount& mount : cache_mounts(store.root()))
        if (args.flag("all") && mount.used <= oldest)
            attempt("removing " + mount.path, [&] { freed += remove_cache_mount(mount); });
    std::printf("Total:\t%s\n", human_size(freed).c_str());
    return 0;
}

constexpr Option builder_du_options[] = {
    {"format", "FORMAT", "a template, json or table"},
};
constexpr Column columns[] = {
    {"ID", "ID"}, {"Type", "TYPE"}, {"Size", "SIZE"}, {"LastUsedSince", "LAST USED"}};

json::Value cache_row(const std::string& id, const std::string& type, uint64_t bytes,
                      int64_t used) {
    return {{"ID", id.substr(0, 12)},
            {"Type", type},
            {"Size", human_size(bytes)},
            {"LastUsedSince", time_since(rfc3339(used * 1'000'000'000))}};
}

int builder_du(const Arguments& globals, const Arguments& args) {
    const Store store = open_store(globals);
    std::vector<json::Value> rows;
    std::set<std::string> counted;
    uint64_t total = 0;
    for (const CacheRecord& record : cache_records(store.root())) {
        if (record.blob.empty()) continue;
        rows.push_back(cache_row(record.key, record.kind, record.bytes, record.used));
        if (counted.insert(record.blob).second) total += record.bytes;
    }
    for (const CacheMount& mount : cache_mounts(store.root())) {
        const uint64_t bytes = disk_usage(mount.path);
        rows.push_back(cache_row(mount.id, "cache mount", bytes, mount.used));
        total += bytes;
    }
    print_listing(args.get("format"), "{{.ID}}\t{{.Type}}\t{{.Size}}\t{{.LastUsedSince}}", columns,
                  rows);
    if (args.get("format").empty()) std::printf("Total:\t%s\n", human_size(total).c_str());
    return 0;
}

}  // namespace

constinit const Command builder_prune_command = {
    .name = "builder prune",
    .synopsis = "",
    .summary = "remove what builds remember",
    .options = builder_prune_options,
    .most = 0,
    .interspersed = true,
    .run = builder_prune,
};

constinit const Command builder_du_command = {
    .name = "builder du",
    .synopsis = "",
    .summary = "show what the build cache takes of the disk",
    .options = builder_du_options,
    .most = 0,
    .interspersed = true,
    .run = builder_du,
};
