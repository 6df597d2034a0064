// The little a runtime does with networks: the loopback device up, and devices of the host moved
// in.
#pragma once

#include <map>
#include <string>

#include "spec/runtime.h"

// In the caller's network namespace.
void raise_loopback();
void raise_loopback_of(int pid);
// By the parent: moves each device into the network namespace and gives it its new name; addresses
// of global scope that stay for good are set again, and the device is up.
void move_net_devices(int network, const std::map<std::string, spec::NetDevice>& devices);
