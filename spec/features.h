// The features document of runtime-spec 1.3: what a runtime can do.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spec/runtime.h"

namespace spec {

struct CgroupFeatures {
    std::optional<bool> v1, v2, systemd, systemd_user, rdma;
};
struct SeccompFeatures {
    std::optional<bool> enabled;
    std::vector<std::string> actions, operators, archs, known_flags, supported_flags;
};
struct Enabled {
    std::optional<bool> enabled;
};
struct IntelRdtFeatures {
    std::optional<bool> enabled, schemata, monitoring;
};
struct MemoryPolicyFeatures {
    std::vector<std::string> modes, flags;
};
struct MountExtensions {
    Enabled idmap;
};
struct LinuxFeatures {
    std::vector<std::string> namespaces, capabilities;
    CgroupFeatures cgroup;
    SeccompFeatures seccomp;
    Enabled apparmor, selinux;
    IntelRdtFeatures intel_rdt;
    MemoryPolicyFeatures memory_policy;
    MountExtensions mount_extensions;
    Enabled net_devices;
};
struct Features {
    std::string oci_version_min, oci_version_max;
    std::vector<std::string> hooks, mount_options;
    LinuxFeatures linux;
    Annotations annotations;
    std::vector<std::string> potentially_unsafe_config_annotations;
};
// Throws Error with the path in the document, and if a version is missing.
Features read_features(std::string_view text);
std::string write(const Features& features, int indent = 4);

}  // namespace spec
