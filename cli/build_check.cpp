#include "cli/build_check.h"

#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "builder/build_check.h"

// NAME alone has its value from the environment, if it is there.
static std::map<std::string, std::string> given_arguments(const Arguments& args) {
    std::map<std::string, std::string> out;
    for (const std::string& text : args.all("build-arg")) {
        const size_t equals = text.find('=');
        if (equals != std::string::npos)
            out[text.substr(0, equals)] = text.substr(equals + 1);
        else if (const char* const value = std::getenv(text.c_str()))
            out[text] = value;
    }
    return out;
}

int run_build_check(const std::string& store_root, const Arguments& args) {
    const Root context_root(args[0]);
    const BuildText text = read_build_text(args[0], context_root, args.get("file"));
    const LintResult found = check_build(text, given_arguments(args), store_root);
    const size_t count = found.warnings.size();
    if (count == 0)
        std::printf("Check complete, no warnings found.\n");
    else if (count == 1)
        std::printf("Check complete, 1 warning has been found!\n");
    else
        std::printf("Check complete, %zu warnings have been found!\n", count);
    std::printf("%s", lint_report(found.warnings, text.text, text.name).c_str());
    return count == 0 ? 0 : 1;
}
