// What is wrong with a store, a line each, and with --repair what was done about it. It ends with 1
// if there was anything, so that a timer can ask.
#include <cstdio>

#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "image/check.h"

namespace {

constexpr Option system_check_options[] = {
    {"repair", nullptr,
     "move what is damaged to the store's quarantine directory, and make anew what can be"},
    {"format", "FORMAT", "json"},
};

void print_json(const CheckReport& report) {
    json::Value problems = json::Value::array();
    for (const Problem& problem : report.problems)
        problems.push_back({{"kind", problem.kind},
                            {"object", problem.object},
                            {"problem", problem.what},
                            {"repaired", problem.repaired}});
    std::printf("%s\n", json::dump({{"images", report.images},
                                    {"blobs", report.blobs},
                                    {"bytes", report.bytes},
                                    {"layers", report.layers},
                                    {"problems", problems}})
                            .c_str());
}

void print_lines(const CheckReport& report) {
    for (const Problem& problem : report.problems)
        std::printf("%s %s: %s%s%s\n", problem.kind.c_str(), visible(problem.object).c_str(),
                    visible(problem.what).c_str(), problem.repaired.empty() ? "" : ": ",
                    problem.repaired.c_str());
    std::printf("%llu images, %llu blobs (%s) and %llu unpacked layers: ",
                static_cast<unsigned long long>(report.images),
                static_cast<unsigned long long>(report.blobs), human_size(report.bytes).c_str(),
                static_cast<unsigned long long>(report.layers));
    if (report.problems.empty())
        std::printf("nothing wrong\n");
    else
        std::printf("%zu wrong\n", report.problems.size());
}

int system_check(const Arguments& globals, const Arguments& args) {
    const std::string format = args.get("format");
    if (!format.empty() && format != "json")
        throw Error("unknown format ", quoted(format), "; known is json");
    const Store store = open_store(globals);
    const CheckReport report = check_store(store, args.flag("repair"));
    if (format == "json")
        print_json(report);
    else
        print_lines(report);
    return report.problems.empty() ? 0 : 1;
}

}  // namespace

constinit const Command system_check_command = {
    .name = "system check",
    .synopsis = "",
    .summary = "say what is wrong with the store's images, blobs and layers",
    .options = system_check_options,
    .most = 0,
    .interspersed = true,
    .run = system_check,
};
