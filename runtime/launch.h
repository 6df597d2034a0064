// How a container comes to be: create(), and what init does. See launch.cpp for the drawing.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "runtime/container.h"

struct CreateOptions {
    std::string state_root, id, bundle;   // bundle: absolute
    std::string config;                   // instead of the bundle's config.json
    std::string console_socket, pidfd_socket, pid_file;
    bool no_pivot = false, no_new_keyring = false, detached = true;
    int preserve_fds = 0;
    std::string cgroup_manager, rootless = "auto";
};

// The bundle's config, read and checked; "JSON specification file config.json not found" if it is not there.
struct Bundle {
    std::string path, text;
    spec::Config config;
};
Bundle load_bundle(const std::string& path, const std::string& config = {});

struct Created {
    Container container;
    UniqueFd console;   // the terminal's master, if it is ours to relay
};
// Throws whatever goes wrong, then nothing is left of the container.
Created create(const CreateOptions& options);
