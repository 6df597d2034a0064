// The steps an image was made of, newest first. Only its top has an ID: the steps below are not
// images here, and Docker calls theirs <missing> too.
#include <algorithm>
#include <cstdio>

#include "base/progress.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "image/snapshots.h"
#include "image/variants.h"

static constexpr Option history_options[] = {
    {"format", "FORMAT", "a template, json or table"},
    {"human,H", nullptr, "sizes and dates for people (the default)", "true"},
    {"no-trunc", nullptr, "whole texts"},
    {"platform", "OS/ARCH", "of an image for several platforms, that one's"},
    {"quiet,q", nullptr, "only the IDs"},
};

static constexpr Column history_columns[] = {
    {"ID", "IMAGE"},
    {"CreatedSince", "CREATED"},
    {"CreatedAt", "CREATED AT"},
    {"CreatedBy", "CREATED BY"},
    {"Size", "SIZE"},
    {"Comment", "COMMENT"},
};

static uint64_t layer_size(const Snapshots& snapshots, const Image& image, size_t layer) {
    const auto diff_ids = image.diff_ids();
    if (layer >= diff_ids.size() || layer >= image.manifest.layers.size()) return 0;
    const auto unpacked = snapshots.top_size({diff_ids.data(), layer + 1});
    return unpacked.value_or(uint64_t(image.manifest.layers[layer].size));
}

static std::vector<json::Value> rows(const Store& store, const Image& image, bool whole,
                                     bool human) {
    const Snapshots snapshots(store);
    std::vector<json::Value> out;
    size_t layer = 0;
    for (const spec::History& step : image.config.history) {
        const uint64_t size = step.empty_layer ? 0 : layer_size(snapshots, image, layer++);
        std::string by = step.created_by;
        std::ranges::replace(by, '\t', ' ');
        std::ranges::replace(by, '\n', ' ');
        out.push_back({{"ID", "<missing>"},
                       {"CreatedSince", human ? time_since(step.created) : step.created},
                       {"CreatedAt", step.created},
                       {"CreatedBy", whole ? by : shortened(by, 45)},
                       {"Size", human ? human_size(size) : str(size)},
                       {"Comment", step.comment}});
    }
    std::ranges::reverse(out);
    if (!out.empty()) out[0]["ID"] = whole ? image.id().text() : image.id().short_hex();
    return out;
}

static int history(const Arguments& globals, const Arguments& args) {
    const Store store = open_store(globals);
    const Image image = store.load(get_variant(store, store.get(args[0]), args.get("platform")));
    const bool human = args.get("human") == "true";
    const auto steps = rows(store, image, args.flag("no-trunc"), human);
    if (args.flag("quiet")) {
        for (const json::Value& step : steps)
            std::printf("%s\n", step["ID"].get<std::string>().c_str());
        return 0;
    }
    const std::string created = human ? "{{.CreatedSince}}" : "{{.CreatedAt}}";
    print_listing(args.get("format"),
                  "{{.ID}}\t" + created + "\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
                  history_columns, steps);
    return 0;
}

constinit const Command history_command = {
    .name = "history",
    .synopsis = "IMAGE",
    .summary = "show the steps an image was made of",
    .options = history_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = history,
};
