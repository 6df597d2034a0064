// Limits and restart policy of a container that is there already: `docker update`.
#pragma once

#include "engine/container.h"
#include "engine/request.h"

// What of the request is given is changed, in its settings and in its cgroup if it runs; all of it
// or nothing. Throws Docker's words for limits that cannot be.
void update_container(const Containers& containers, const Container& container,
                      const ContainerRequest& request);
