// What start and restart share.
#pragma once

#include <optional>

#include "engine/monitor.h"

// Nothing if it runs already.
std::optional<Monitored> start_container(const Containers& containers, const Container& container,
                                         const MonitorOptions& how);
