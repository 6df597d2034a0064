// Capabilities by name: those the kernel has, and those that a container has without being asked.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spec {

std::span<const std::string_view> capability_names();  // in the order of the kernel's numbers
const std::vector<std::string>&
container_capabilities();  // what Docker gives, and images are written for

}  // namespace spec
