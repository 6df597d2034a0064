// What is hard: what one layer brings and another takes away is to leave no trace. So neither is
// read; the two trees are mounted and held against each other.
#include "builder/squash.h"

#include "base/log.h"
#include "base/root.h"
#include "image/layer/diff.h"
#include "image/snapshots.h"

namespace {

// As Docker's: the steps stay, but it is the last entry that has the layer.
void merge_history(spec::ImageConfig& config, size_t kept_layers, int64_t latest) {
    size_t layers = 0;
    for (spec::History& each : config.history)
        if (!each.empty_layer && ++layers > kept_layers) each.empty_layer = true;
    config.history.push_back({.created = rfc3339(latest * 1'000'000'000),
                              .author = {},
                              .created_by = "",
                              .comment = "merge of the layers above the base",
                              .empty_layer = false});
}

}  // namespace

Stack squashed(const Store& store, const Stack& tree, const Stack& base, int64_t latest,
               spec::ImageConfig& config) {
    if (tree.diff_ids.size() <= base.diff_ids.size() + 1) return tree;
    const Snapshots snapshots(store);
    snapshots.unpack(tree.image());
    snapshots.unpack(base.image());
    const WorkDir work = store.work_dir("squash");
    const Mounted after(snapshots, {.layers = tree.diff_ids, .target = work.path() + "/after"});
    const Mounted before(snapshots, {.layers = base.diff_ids, .target = work.path() + "/before"});
    const Root now(after.path());
    const Clamp clamp{.latest = latest};
    const TreeChanges changes = compare_trees(now, Root(before.path()), clamp);
    const Snapshots::NewLayer layer = snapshots.new_layer([&](const Snapshots::LayerSink& sink) {
        return write_layer(now, changes, {.clamp = clamp}, sink);
    });
    Stack out = base;
    out.layers.push_back(layer.blob);
    out.diff_ids.push_back(layer.diff_id);
    merge_history(config, base.diff_ids.size(), latest);
    return out;
}
