// How a PortBinding is written; one table for the settings and the state.
#pragma once

#include "base/json.h"
#include "engine/ports.h"

template <>
inline constexpr auto json::fields<PortBinding> = std::tuple(
    json::required("proto", &PortBinding::proto), json::optional("host_ip", &PortBinding::host_ip),
    json::optional("host_port", &PortBinding::host_port), json::optional("host_port_end", &PortBinding::host_port_end),
    json::required("container_port", &PortBinding::container_port));
