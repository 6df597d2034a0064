// A repository that may have mirrors: they are asked before the registry, and whatever one of them
// does wrong, the next place is asked.
#pragma once

#include <memory>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "image/registry/repository.h"

class Mirrored {
public:
    explicit Mirrored(const Reference& name) {
        for (Place& place : Hosts::load().to_pull(name))
            places_.push_back(std::make_unique<Repository>(name, std::move(place), "pull"));
    }

    // What `what` finds in the first place in which it does not fail. What the last place, which is
    // the registry, throws comes out.
    auto ask(auto&& what) {
        for (size_t i = first_; i + 1 < places_.size(); ++i) try {
                return what(*places_[i]);
            } catch (const Error& e) {
                log_debug(str("mirror ", places_[i]->place().name, ": ", e.what()));
            }
        return what(*places_.back());
    }
    // Those before that one are not asked any more.
    void begin_with(const Repository& place) {
        while (places_[first_].get() != &place) ++first_;
    }
    const Place& first() const { return places_[first_]->place(); }

private:
    std::vector<std::unique_ptr<Repository>> places_;
    size_t first_ = 0;
};
