// What a call costs, counted instead of timed: a clock on a busy machine is wrong by a factor, and
// by another where the input no longer fits into a cache. In a build with -DCOUNT_WORK=ON the
// compiler calls us at each basic block of keg's own code and of the templates that it makes of the
// library's; the library's functions over bytes (memcpy, memchr …) pass through ours. The kernel's
// work is not counted, but its calls are ours.
#pragma once

#include <cstdint>

#ifdef KEG_COUNT_WORK
inline constexpr bool work_is_counted = true;
#else
inline constexpr bool work_is_counted = false;
#endif

// Basic blocks that this thread has passed, and one for every 16 bytes looked at; 0 where work is
// not counted.
std::uint64_t work_of_this_thread();
