// The init of --init: a program of its own, which is mounted into the container.
#pragma once

#include <string>

// KEG_INIT, else keg-init beside this executable. Throws if it is not there.
std::string init_program();
