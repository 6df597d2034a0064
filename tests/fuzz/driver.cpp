#include <unistd.h>

#include "base/file.h"
#include "tests/fuzz/fuzz.h"

// With KEG_FUZZ_SEEDS=DIRECTORY it only writes what a run may begin with.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
    const char* const directory = std::getenv("KEG_FUZZ_SEEDS");
    if (!directory) return 0;
    int count = 0;
    for (const std::string& seed : seeds()) write_file(str(directory, "/seed-", ++count), seed);
    ::_exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    is_taken([&] { take({reinterpret_cast<const char*>(data), size}); });
    return 0;
}
