// A container's file system as a tar, as `docker export` writes it: what its image and its own
// writes make together, without volumes, binds and what the kernel mounts there.
#pragma once

#include <functional>
#include <string_view>

#include "engine/container.h"

// Gives the tar to `sink` piece by piece. Until that is done nobody starts, stops or removes the
// container; it may run, and write, meanwhile. Throws Error as write_layer does, and for a
// container that has gone.
void export_container(const Containers& containers, const Container& container,
                      const std::function<void(std::string_view)>& sink);
