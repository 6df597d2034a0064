// How ports and networks are written: the same in the settings and in the state.
#pragma once

#include "base/json.h"
#include "container/network_state.h"

template <>
inline constexpr auto json::fields<PortBinding> =
    std::tuple(json::required("proto", &PortBinding::proto),
               json::optional("host_ip", &PortBinding::host_ip),
               json::optional("host_port", &PortBinding::host_port),
               json::optional("host_port_end", &PortBinding::host_port_end),
               json::required("container_port", &PortBinding::container_port));

template <>
inline constexpr auto json::fields<NetworkState> = std::tuple(
    json::optional("name", &NetworkState::name),
    json::optional("interface", &NetworkState::interface_name),
    json::optional("mac", &NetworkState::mac), json::optional("address", &NetworkState::address),
    json::optional("gateway", &NetworkState::gateway),
    json::optional("network_id", &NetworkState::network_id),
    json::optional("endpoint_id", &NetworkState::endpoint_id),
    json::optional("prefix", &NetworkState::prefix), json::optional("ports", &NetworkState::ports));
