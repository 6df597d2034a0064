#include "cli/containers.h"

#include <cstdio>

#include "base/error.h"

int for_each_container(const Containers& containers, const std::vector<std::string>& names, bool print_names,
                       const std::function<void(const Container&)>& action) {
    int code = 0;
    for (const std::string& name : names) {
        try {
            action(containers.get(name));
            if (print_names) std::printf("%s\n", name.c_str());
        } catch (const std::exception& e) {   // the others are still done
            std::fflush(stdout);
            std::fprintf(stderr, "Error: %s\n", e.what());
            code = 1;
        }
    }
    return code;
}
