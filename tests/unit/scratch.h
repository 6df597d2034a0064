// A directory of a test's own, which goes with it.
#pragma once

#include <stdlib.h>

#include <string>

#include "base/error.h"
#include "base/sys.h"

struct Scratch {
    explicit Scratch(const std::string& parent = "/tmp") : path(parent + "/keg-unit.XXXXXX") {
        if (!::mkdtemp(path.data())) throw SysError("mkdtemp in ", parent);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        attempt("removing a test's directory", [&] { sys::remove_tree(path); });
    }
    std::string path;
};
