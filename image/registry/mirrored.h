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
    explicit Mirrored(const Reference& name) : Mirrored(name, Hosts::load().to_pull(name)) {}
    // These places and no others, of which there is at least one.
    Mirrored(const Reference& name, std::vector<Place> places) {
        for (Place& place : places)
            places_.push_back(std::make_unique<Repository>(name, std::move(place), "pull"));
    }

    // What `what` finds in the first place in which it does not fail. What the last place, which is
    // the registry, throws comes out.
    auto ask(auto&& what) {
        for (size_t i = first_; i + 1 < places_.size(); ++i) try {
                return what(*places_[i]);
            } catch (const Error& e) {
                note_failure(*places_[i], e);
            }
        return what(*places_.back());
    }
    // The same, where only the registry itself can say that there is nothing.
    auto find(auto&& what) {
        for (size_t i = first_; i + 1 < places_.size(); ++i) try {
                if (auto found = what(*places_[i]); is_something(found)) return found;
            } catch (const Error& e) {
                note_failure(*places_[i], e);
            }
        return what(*places_.back());
    }
    // Those before that one are not asked any more.
    void begin_with(const Repository& place) {
        while (places_[first_].get() != &place) ++first_;
    }
    const Place& first() const { return places_[first_]->place(); }

private:
    static void note_failure(const Repository& place, const Error& e) {
        log_debug(str("mirror ", place.place().name, ": ", e.what()));
    }
    static bool is_something(const auto& found) {
        if constexpr (requires { found.empty(); })
            return !found.empty();
        else
            return found.has_value();
    }

    std::vector<std::unique_ptr<Repository>> places_;
    size_t first_ = 0;
};
