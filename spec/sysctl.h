// A kernel parameter's key as sysctl.d(5) has it, read once. Whether a parameter is the container's
// own is decided by the same path that is written: a key has two spellings, and one that passes in
// the first and is written in the second is the host's ("net/../kernel/core_pattern").
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace spec {

// Where it lies below /proc/sys: "net/ipv4/conf/eth0.1/forwarding". The first separator of the key
// decides which of "." and "/" separates. Nothing for a key that names no parameter: with an empty
// component, "." or "..", or a NUL.
std::optional<std::string> sysctl_path(std::string_view key);

}  // namespace spec
