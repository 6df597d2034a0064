// The state documents: the spec's, runc's, and what a seccomp agent gets.
#include "spec/state.h"

#include "base/json.h"

using json::optional;
using json::required;
using namespace spec;

template <>
inline constexpr auto json::fields<State> =
    std::tuple(required("ociVersion", &State::oci_version), required("id", &State::id),
               required("pid", &State::pid), required("status", &State::status),
               required("bundle", &State::bundle), required("rootfs", &State::rootfs),
               required("created", &State::created), optional("annotations", &State::annotations),
               required("owner", &State::owner));

namespace spec {

namespace {
json::Value hook_state(const State& state) {
    json::Value out;
    out["ociVersion"] = state.oci_version;
    out["id"] = state.id;
    out["status"] = state.status;
    if (state.pid) out["pid"] = state.pid;
    out["bundle"] = state.bundle;
    if (!state.annotations.empty()) out["annotations"] = json::write(state.annotations);
    return out;
}
}  // namespace

State read_state(std::string_view text) { return json::from_text<State>(text); }
std::string write_for_hook(const State& state) { return json::dump(hook_state(state)); }
std::string write(const State& state, int indent) { return json::to_text(state, indent); }

std::string write(const ContainerProcessState& state) {
    json::Value out;
    out["ociVersion"] = state.oci_version;
    out["fds"] = json::write(state.fds);
    out["pid"] = state.pid;
    if (!state.metadata.empty()) out["metadata"] = state.metadata;
    out["state"] = hook_state(state.state);
    return json::dump(out);
}

}  // namespace spec
