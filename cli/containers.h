// What the commands about containers share.
#pragma once

#include <climits>
#include <functional>

#include "base/command_line.h"
#include "engine/container.h"

// How long to wait before a container is killed, for several commands' tables.
constexpr Option seconds_to_stop(const char* names, const char* help, bool hidden = false) {
    return {.names = names,
            .value = "SECONDS",
            .help = help,
            .hidden = hidden,
            .kind = Value::integer,
            .least = -1,
            .most = INT_MAX};
}

// Does it for each container that was named, prints the name as typed, and goes on after an error,
// which is printed; gives 1 if there was one.
int for_each_container(const Containers& containers, const std::vector<std::string>& names,
                       bool print_names, const std::function<void(const Container&)>& action);
// The same for words that need not name a container. False: the name is not printed.
int for_each_word(const std::vector<std::string>& words, bool print,
                  const std::function<bool(const std::string&)>& action);
