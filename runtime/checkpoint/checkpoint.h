// A container's processes into files and back, by CRIU.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/start/launch.h"

// What both commands take.
struct CriuOptions {
    std::string image_path = "checkpoint", work_path;  // work_path: "" = the images'
    std::vector<std::string_view> switches;            // of criu_switches(), without "--"
    std::string cgroups_mode = "soft";
    std::vector<std::string> empty_namespaces;  // only "network"
    // checkpoint
    std::string parent_path, page_server;  // "ADDRESS:PORT"
    int status_fd = -1;
    bool pre_dump = false;
    // restore
    std::string lsm_profile, lsm_mount_context;

    bool has(std::string_view wanted) const;  // among the switches
};
// The names of the options that CRIU has as well and that have no value.
std::vector<std::string_view> criu_switches();

// Writes the images; the container goes on or ends as the switches say. Throws Error with the last
// errors of CRIU's log.
void checkpoint(const Container& container, const CriuOptions& options);

// Makes a container from images and the bundle they belong to; it runs when this returns. Our mount
// namespace becomes a private one. Throws whatever goes wrong, then nothing is left of the
// container.
Created restore(const CreateOptions& options, const CriuOptions& criu);
