// What lies below steps, as trees in memory: made once, and made more of step by step.
#pragma once

#include <map>
#include <mutex>
#include <utility>

#include "builder/stack.h"
#include "image/layer/file_tree.h"
#include "image/snapshots.h"

class Trees {
public:
    explicit Trees(const Snapshots& snapshots) : snapshots_(snapshots) {}

    // A tree that is its borrower's alone; the next step on the same layers takes it over.
    class Lent {
    public:
        Lent(Lent&& other) noexcept
            : trees_(std::exchange(other.trees_, nullptr)), chain_id_(std::move(other.chain_id_)),
              tree_(std::move(other.tree_)) {}
        ~Lent() {
            if (trees_) trees_->take_back(chain_id_, std::move(tree_));
        }
        FileTree& operator*() { return tree_; }

    private:
        friend class Trees;
        Lent(Trees* trees, Digest chain_id, FileTree tree)
            : trees_(trees), chain_id_(std::move(chain_id)), tree_(std::move(tree)) {}
        Trees* trees_;
        Digest chain_id_;
        FileTree tree_;
    };
    Lent of(const Stack& stack);
    Lent none() { return {nullptr, Digest(), FileTree()}; }

private:
    void take_back(const Digest& chain_id, FileTree tree) noexcept;

    const Snapshots& snapshots_;
    std::mutex mutex_;
    std::map<Digest, FileTree> kept_;  // by ChainIDs; few
};
