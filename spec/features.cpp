// The field tables of the features document.
#include "spec/features.h"

#include "base/json.h"

using json::optional;
using json::required;
using namespace spec;

template <>
inline constexpr auto json::fields<CgroupFeatures> =
    std::tuple(optional("v1", &CgroupFeatures::v1), optional("v2", &CgroupFeatures::v2),
               optional("systemd", &CgroupFeatures::systemd),
               optional("systemdUser", &CgroupFeatures::systemd_user),
               optional("rdma", &CgroupFeatures::rdma));
template <>
inline constexpr auto json::fields<SeccompFeatures> = std::tuple(
    optional("enabled", &SeccompFeatures::enabled), optional("actions", &SeccompFeatures::actions),
    optional("operators", &SeccompFeatures::operators), optional("archs", &SeccompFeatures::archs),
    optional("knownFlags", &SeccompFeatures::known_flags),
    optional("supportedFlags", &SeccompFeatures::supported_flags));
template <>
inline constexpr auto json::fields<Enabled> = std::tuple(optional("enabled", &Enabled::enabled));
template <>
inline constexpr auto json::fields<IntelRdtFeatures> =
    std::tuple(optional("enabled", &IntelRdtFeatures::enabled),
               optional("schemata", &IntelRdtFeatures::schemata),
               optional("monitoring", &IntelRdtFeatures::monitoring));
template <>
inline constexpr auto json::fields<MemoryPolicyFeatures> =
    std::tuple(optional("modes", &MemoryPolicyFeatures::modes),
               optional("flags", &MemoryPolicyFeatures::flags));
template <>
inline constexpr auto json::fields<MountExtensions> =
    std::tuple(optional("idmap", &MountExtensions::idmap));
template <>
inline constexpr auto json::fields<LinuxFeatures> = std::tuple(
    optional("namespaces", &LinuxFeatures::namespaces),
    optional("capabilities", &LinuxFeatures::capabilities),
    optional("cgroup", &LinuxFeatures::cgroup), optional("seccomp", &LinuxFeatures::seccomp),
    optional("apparmor", &LinuxFeatures::apparmor), optional("selinux", &LinuxFeatures::selinux),
    optional("intelRdt", &LinuxFeatures::intel_rdt),
    optional("memoryPolicy", &LinuxFeatures::memory_policy),
    optional("mountExtensions", &LinuxFeatures::mount_extensions),
    optional("netDevices", &LinuxFeatures::net_devices));
template <>
inline constexpr auto json::fields<Features> =
    std::tuple(required("ociVersionMin", &Features::oci_version_min),
               required("ociVersionMax", &Features::oci_version_max),
               optional("hooks", &Features::hooks),
               optional("mountOptions", &Features::mount_options),
               optional("linux", &Features::linux), optional("annotations", &Features::annotations),
               optional("potentiallyUnsafeConfigAnnotations",
                        &Features::potentially_unsafe_config_annotations));

namespace spec {

Features read_features(std::string_view text) {
    auto features = json::from_text<Features>(text);
    if (features.oci_version_min.empty()) throw Error("ociVersionMin: is missing");
    if (features.oci_version_max.empty()) throw Error("ociVersionMax: is missing");
    return features;
}
std::string write(const Features& features, int indent) { return json::to_text(features, indent); }

}  // namespace spec
