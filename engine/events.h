// What has happened to containers, networks and volumes, as `keg events` tells it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/container.h"

struct Event {
    int64_t number = 0, time = 0;  // nanoseconds since 1970
    std::string type, action;      // "container", "start"
    std::string actor;             // its ID, or a volume's name
    std::map<std::string, std::string> attributes;
};

// Never throws: what has happened has happened, and who cannot note it warns.
void note_event(const std::string& store_root, const std::string& type, const std::string& action,
                const std::string& actor, std::map<std::string, std::string> attributes) noexcept;
// With the container's name, image and labels, as Docker has it.
void note_event(const Containers& containers, const Container& container, const std::string& action,
                std::map<std::string, std::string> more = {}) noexcept;

struct EventQuery {
    int64_t since = 0, until = 0;  // nanoseconds since 1970; 0: no limit
    bool past = false;             // those that are noted already, from `since` on
};
// Calls `tell` for each, in their order. Without `until` it goes on until `tell` gives false; with
// one until that time has come.
void watch_events(const std::string& store_root, const EventQuery& query,
                  const std::function<bool(const Event&)>& tell);
