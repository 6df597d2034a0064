// What is hard: a tree of a big image takes a while to read, and steps come one on top of the
// other, at once in several stages. So a tree that nobody uses waits for the step that comes next,
// which adds the layer of the one before.
#include "builder/trees.h"

#include <vector>

namespace {
constexpr size_t most_kept = 4;
}  // namespace

Trees::Lent Trees::of(const Stack& stack) {
    if (stack.diff_ids.empty()) return none();
    const std::vector<Digest> ids = chain_ids(stack.diff_ids);
    FileTree tree;
    size_t known = ids.size();
    {
        const std::lock_guard one_thread(mutex_);
        while (known > 0 && !kept_.contains(ids[known - 1])) --known;
        if (known > 0) tree = std::move(kept_.extract(ids[known - 1]).mapped());
    }
    const Image image = stack.image();
    if (known == 0)
        tree = snapshots_.tree(image);
    else
        for (size_t i = known; i < ids.size(); ++i) snapshots_.add_to(tree, image, i);
    return {this, ids.back(), std::move(tree)};
}

void Trees::take_back(const Digest& chain_id, FileTree tree) noexcept {
    const std::lock_guard one_thread(mutex_);
    if (kept_.size() >= most_kept) kept_.clear();
    kept_.insert_or_assign(chain_id, std::move(tree));
}
