#include "cli/containers.h"

#include <cstdio>

#include "base/error.h"

int for_each_word(const std::vector<std::string>& words, bool print,
                  const std::function<bool(const std::string&)>& action) {
    int code = 0;
    for (const std::string& word : words) {
        try {
            if (action(word) && print) std::printf("%s\n", word.c_str());
        } catch (const std::exception& e) {  // the others are still done
            std::fflush(stdout);
            std::fprintf(stderr, "keg: %s\n", visible(e.what(), "\n").c_str());
            code = 1;
        }
    }
    return code;
}

int for_each_container(const Containers& containers, const std::vector<std::string>& names,
                       bool print_names, const std::function<void(const Container&)>& action) {
    return for_each_word(names, print_names, [&](const std::string& name) {
        return action(containers.get(name)), true;
    });
}
