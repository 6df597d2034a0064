// A tree that is deeper than any path, and too few descriptors to hold one a level.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <string>

#include "base/error.h"
#include "base/sys.h"

// Each level, "d", is made in the one before, the first in `top`; gives the last.
inline UniqueFd make_chain(const std::string& top, int depth) {
    UniqueFd here = sys::open(top, O_PATH | O_DIRECTORY);
    for (int i = 0; i < depth; ++i) {
        check(::mkdirat(here.get(), "d", 0755), "mkdir");
        here = sys::openat(here.get(), "d", O_PATH | O_DIRECTORY);
    }
    return here;
}

// While it lives this process may have 32.
class FewDescriptors {
public:
    FewDescriptors() {
        check(::getrlimit(RLIMIT_NOFILE, &before_), "getrlimit");
        const rlimit few{32, before_.rlim_max};
        check(::setrlimit(RLIMIT_NOFILE, &few), "setrlimit");
    }
    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;
    ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};
