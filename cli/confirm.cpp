#include "cli/confirm.h"

#include <cstdio>
#include <iostream>

#include "base/text.h"

bool is_confirmed(const std::string& what) {
    std::printf("WARNING! This will remove %s.\nAre you sure you want to continue? [y/N] ",
                what.c_str());
    std::fflush(stdout);
    std::string answer;
    std::getline(std::cin, answer);
    answer = lower(std::string(trim(answer)));
    return answer == "y" || answer == "yes";
}
