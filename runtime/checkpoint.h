// A container's processes into files and back, by CRIU. What CRIU cannot know is told here: which mounts,
// namespaces and descriptors lead out of the container (it names them in its images, and is given their
// new ends at restore), and in which cgroup it freezes and restores.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/launch.h"

// What both commands take.
struct CriuOptions {
    std::string image_path = "checkpoint", work_path;   // work_path: "" = the images'
    std::vector<std::string_view> switches;             // of criu_switches(), without "--"
    std::string cgroups_mode = "soft";
    std::vector<std::string> empty_namespaces;          // only "network"
    // checkpoint
    std::string parent_path, page_server;               // "ADDRESS:PORT"
    int status_fd = -1;
    bool pre_dump = false;
    // restore
    std::string lsm_profile, lsm_mount_context;
};
// The names of the options that CRIU has as well and that have no value.
std::vector<std::string_view> criu_switches();

// Writes the images; the container goes on or ends as the switches say. Throws Error with the last
// errors of CRIU's log.
void checkpoint(const Container& container, const CriuOptions& options);

// Makes a container from images and the bundle they belong to; it runs when this returns. Our mount
// namespace becomes a private one. Throws whatever goes wrong, then nothing is left of the container.
Created restore(const CreateOptions& options, const CriuOptions& criu);

// Pure. A mount that leads out of the container, by where it is inside, which is its name in the images,
// and what it shows of the host.
struct ExternalMount {
    std::string inside, host;
    bool operator==(const ExternalMount&) const = default;
};
std::vector<ExternalMount> plan_external_mounts(const spec::Config& config, const std::string& bundle, const CgroupRecord& cgroup);
