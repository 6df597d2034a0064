// The same work on many things, a few at a time.
#pragma once

#include <cstddef>
#include <functional>

// Calls `work` with 0 … count - 1, by at most so many threads. The first error stops what was not
// begun, and is thrown when all threads have ended.
void in_parallel(size_t count, size_t threads, const std::function<void(size_t)>& work);
