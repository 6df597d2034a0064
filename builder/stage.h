// A stage as far as its statements were read: the config that it will have, and the arguments that
// the next statement sees.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "builder/language/words.h"
#include "spec/image.h"

struct Argument {
    std::string name;
    std::optional<std::string> value;
    bool hidden = false;  // by a later ENV of that name
};

// Where names stand in a list that is only added to, or replaced by one of another length: a
// Dockerfile may have as many as it likes, and each is looked for again and again.
class Places {
public:
    static constexpr size_t nowhere = size_t(-1);
    template <class List, class NameOf>
    size_t find(const List& list, const std::string& name, NameOf name_of) {
        if (count_ > list.size()) places_.clear(), count_ = 0;
        for (; count_ < list.size(); ++count_)
            places_.try_emplace(std::string(name_of(list[count_])), count_);
        const auto place = places_.find(name);
        return place == places_.end() ? nowhere : place->second;
    }

private:
    std::unordered_map<std::string, size_t> places_;
    size_t count_ = 0;  // of the list's, those that are in places_
};

struct Stage {
    spec::ImageConfig config;
    std::vector<Argument> args;  // ARG of this stage, in their order
    bool has_cmd = false;        // CMD was given in this stage
    int64_t latest = 0;          // no time in its layers, and of its history, is later

    std::string env(const std::string& name, bool& found) const;  // ENV's alone; "" if not found
    void set_env(const std::string& name, const std::string& value);
    void set_arg(const std::string& name, const std::optional<std::string>& value);
    // ARG and ENV: whichever was set last.
    Lookup lookup() const;
    // SHELL's, or /bin/sh -c
    std::vector<std::string> shell() const;
    // What RUN finds in its environment: ENV's, over which an ARG goes that no later ENV hides.
    std::vector<std::string> environment() const;
    void add_history(const std::string& created_by, bool empty_layer);

private:
    size_t place_in_env(const std::string& wanted) const;
    const Argument* argument(const std::string& wanted) const;
    mutable Places env_places_, arg_places_;
};
