// Dockerfile -> image in the store.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "builder/output/output.h"
#include "builder/report.h"
#include "builder/source/context.h"
#include "image/store.h"
#include "image/trust/policy.h"
#include "spec/runtime.h"

struct BuildOptions {
    std::string context;                           // as open_context() takes it (source/context.h)
    std::string dockerfile;                        // "" = CONTEXT/Dockerfile; "-" = standard input
    std::map<std::string, NamedContext> contexts;  // --build-context, by their names
    Outputs outputs = parse_outputs({});           // with the image's names
    std::map<std::string, std::optional<std::string>> build_args;  // no value: from the environment
    std::map<std::string, std::string> labels;
    std::string target;                  // "" = the last stage
    std::vector<std::string> platforms;  // "linux/arm64", whole; none: this machine's
    std::string network = "default";     // of RUN: "default" (the store's bridge), "host", "none"
    bool allow_host_network = false;     // RUN --network=host; network = "host" allows it, too
    TrustPolicy trust = TrustPolicy::anything();  // of images that it pulls
    std::string seccomp;          // of RUN, as load_seccomp_option gives it; "" = the default
    bool allow_insecure = false;  // RUN --security=insecure
    struct OfRuns {
        std::vector<std::string> hosts;  // "NAME:IP", for /etc/hosts
        int64_t shm_size = 0;            // bytes; 0 is the default
        std::vector<spec::Rlimit> limits;
        spec::Resources resources;  // of their cgroups
        std::string cgroup_parent;
    } runs;
    struct Secret {
        std::string file, variable;  // one of the two
    };
    std::map<std::string, Secret> secrets;      // by their ids
    std::map<std::string, std::string> agents;  // sockets of ssh agents, by their ids
    std::string cache_namespace;                // of cache mounts
    std::vector<std::string> no_cache_stages;   // these stages' steps are made anew
    bool no_cache = false, pull = false;
    bool squash = false;  // what is built is one layer on its base
    // Builds twice, without a cache, and throws if the two differ: errors name the files.
    bool check_reproducible = false;
    BuildDisplay display = BuildDisplay::automatic;
};

// Builds, names and writes what came of it; gives that. Nothing is named if a step fails. Errors
// name file and line: "Dockerfile:3: unknown instruction: RUM (did you mean RUN?)".
Built build(const Store& store, const BuildOptions& options);
