// The kernel's memory of flows: where the packets of a UDP client go is decided by its first one.
#pragma once

#include <vector>

#include "container/ports.h"

// Forgets the flows of datagrams to these ports. Without that, a client that asked before the port
// was published is never heard, and one that still asks when it is no longer reaches whoever got
// the container's address. (TCP's flows begin anew by themselves.)
void forget_flows(const std::vector<PortBinding>& ports);
