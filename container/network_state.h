// What is known of a container's place in a network, as it is kept beside the container.
#pragma once

#include <string>
#include <vector>

#include "container/ports.h"

struct NetworkState {
    std::string name;  // "": the store's own
    std::string interface_name, mac, address, gateway, network_id, endpoint_id;
    int prefix = 0;
    std::vector<PortBinding> ports;  // with the host ports that were given
};
