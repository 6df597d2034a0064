// How old things are, in Docker's words.
#pragma once

#include <string>

#include "engine/container.h"

// The STATUS column: "Up 3 minutes", "Exited (1) 2 days ago", "Created".
std::string status_words(const State& state, long long now_nanoseconds);
