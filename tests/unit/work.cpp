// This file is compiled without what it defines; see work.h.
#include "tests/unit/work.h"

#include <cstddef>

#ifdef KEG_COUNT_WORK

namespace {
thread_local std::uint64_t work;
void count_bytes(size_t n) { work += n / 16; }
}  // namespace

// AddressSanitizer's own, which would have been called without us.
extern "C" {
void* __interceptor_memcpy(void*, const void*, size_t);
void* __interceptor_memmove(void*, const void*, size_t);
void* __interceptor_memchr(const void*, int, size_t);
int __interceptor_memcmp(const void*, const void*, size_t);
size_t __interceptor_strlen(const char*);

void __sanitizer_cov_trace_pc() { ++work; }

void* memcpy(void* to, const void* from, size_t n) {
    count_bytes(n);
    return __interceptor_memcpy(to, from, n);
}

void* memmove(void* to, const void* from, size_t n) {
    count_bytes(n);
    return __interceptor_memmove(to, from, n);
}

void* memchr(const void* in, int byte, size_t n) {
    void* found = __interceptor_memchr(in, byte, n);
    count_bytes(found ? size_t(static_cast<const char*>(found) - static_cast<const char*>(in)) : n);
    return found;
}

int memcmp(const void* one, const void* other, size_t n) {
    count_bytes(n);
    return __interceptor_memcmp(one, other, n);
}

size_t strlen(const char* text) {
    const size_t n = __interceptor_strlen(text);
    count_bytes(n);
    return n;
}
}

std::uint64_t work_of_this_thread() { return work; }

#else

std::uint64_t work_of_this_thread() { return 0; }

#endif
