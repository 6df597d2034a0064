// The runtime as the container's parent in the foreground: signals go on to the container, the
// terminal's bytes go both ways, and its end is ours.
#pragma once

#include "base/process.h"

class Foreground {
public:
    // From here on no signal ends us before the container heard of it. active: false does nothing.
    explicit Foreground(bool active);
    // console: the terminal's master, or an empty descriptor.
    ExitStatus wait(Child& child, UniqueFd console);

private:
    UniqueFd signals_;
};
