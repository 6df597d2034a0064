// The root file system of a container, whether it runs or not: for who reads it from outside.
#pragma once

#include <functional>
#include <string>

#include "engine/container.h"

// Calls `use` with the host path where it is mounted. Until that returns nobody starts, stops or
// removes the container; one that runs may write meanwhile. Throws Error for one that has gone.
void with_root_of(const Containers& containers, const Container& container,
                  const std::function<void(const std::string& rootfs)>& use);
