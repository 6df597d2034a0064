// The state of a container: runtime-spec's state document, and what runc adds to it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "spec/runtime.h"

namespace spec {

struct State {
    std::string oci_version = version;    // the state's own, whatever the config's is
    std::string id, status;               // creating created running paused stopped
    int pid = 0;                          // 0 = none
    std::string bundle, rootfs, created;  // created: RFC 3339; rootfs, created, owner: runc's own
    Annotations annotations;
    std::string owner;
};
State read_state(std::string_view text);  // throws Error with the path in the document
// The spec's document (ociVersion id status pid bundle annotations), as hooks get it on stdin.
std::string write_for_hook(const State& state);
// runc's `state`: two-space JSON in runc's order of keys; indent -1 for one line of `list`.
std::string write(const State& state, int indent = 2);

// What a seccomp agent is sent beside the descriptors (runtime-spec, config-linux.md).
struct ContainerProcessState {
    std::string oci_version = version;
    std::vector<std::string> fds;
    int pid = 0;
    std::string metadata;
    State state;
};
std::string write(const ContainerProcessState& state);

}  // namespace spec
