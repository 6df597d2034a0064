// A directory of a test's own, which goes with it.
#pragma once

#include <stdlib.h>

#include <string>

#include "base/error.h"
#include "base/sys.h"

struct Scratch {
    Scratch() {
        char name[] = "/tmp/keg-unit.XXXXXX";
        if (!::mkdtemp(name)) throw SysError("mkdtemp");
        path = name;
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        attempt("removing a test's directory", [&] { sys::remove_tree(path); });
    }
    std::string path;
};
