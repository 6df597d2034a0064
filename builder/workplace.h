// A work directory of a build that is cleared whatever becomes of the build: ^C, kill -9.
#pragma once

#include <signal.h>

#include <string>

#include "base/process.h"
#include "base/sys.h"
#include "image/store.h"

class Workplace {
public:
    // Needs a process without threads.
    Workplace(const Store& store, const std::string& purpose);
    const std::string& path() const { return work_.path(); }
    const WorkDir& directory() const { return work_; }

private:
    class SignalsBlocked {
    public:
        SignalsBlocked();
        SignalsBlocked(const SignalsBlocked&) = delete;
        SignalsBlocked& operator=(const SignalsBlocked&) = delete;
        ~SignalsBlocked();

    private:
        sigset_t before_;
    };
    Workplace(const Store& store, const std::string& purpose, const SignalsBlocked& blocked);

    Child guard_;  // killed when the directory is gone
    WorkDir work_;
};
