// Values of D-Bus as people write them in annotations: GVariant's text form, as far as properties
// of systemd's units need it: true, 'text', uint64 5, 1.5, byte 0x1f, ['a', 'b'], ('a', uint32 1),
// @as [].
#pragma once

#include <string_view>

#include "runtime/cgroup/dbus_wire.h"

// Throws Error with what is wrong.
dbus::Value parse_variant(std::string_view text);
