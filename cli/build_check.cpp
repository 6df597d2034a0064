// Whoever asks for a directory's Dockerfile needs no store; a context that is fetched lies in one.
#include "cli/build_check.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "builder/build_check.h"
#include "builder/language/outline.h"
#include "cli/commands.h"
#include "cli/format.h"

using GivenArguments = std::map<std::string, std::string>;

// NAME alone has its value from the environment, if it is there.
static GivenArguments given_arguments(const Arguments& args) {
    GivenArguments out;
    for (const std::string& text : args.all("build-arg")) {
        const size_t equals = text.find('=');
        if (equals != std::string::npos)
            out[text.substr(0, equals)] = text.substr(equals + 1);
        else if (const char* const value = std::getenv(text.c_str()))
            out[text] = value;
    }
    return out;
}

static int check(const BuildText& text, const GivenArguments& given, const std::string& store) {
    const LintResult found = check_build(text, given, store);
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

static void print_targets(const BuildText& text) {
    static constexpr Column columns[] = {{"Target", "TARGET"}, {"Description", "DESCRIPTION"}};
    std::vector<json::Value> rows;
    for (const OutlineTarget& target : outline_targets(text.file)) {
        std::string name = target.name;
        if (target.is_default) name += name.empty() ? "(default)" : " (default)";
        rows.push_back({{"Target", name}, {"Description", target.description}});
    }
    print_listing("", "{{.Target}}\t{{.Description}}", columns, rows);
}

static void print_needs(const char* header, const std::vector<OutlineSecret>& list) {
    if (list.empty()) return;
    const Column columns[] = {{"Name", header}, {"Required", "REQUIRED"}};
    std::vector<json::Value> rows;
    for (const OutlineSecret& each : list)
        rows.push_back({{"Name", each.id}, {"Required", each.required ? "true" : ""}});
    std::printf("\n");
    std::fflush(stdout);
    print_listing("", "{{.Name}}\t{{.Required}}", columns, rows);
}

static void print_outline(const BuildText& text, const std::string& target,
                          const GivenArguments& given) {
    static constexpr Column columns[] = {
        {"Name", "BUILD ARG"}, {"Value", "VALUE"}, {"Description", "DESCRIPTION"}};
    const Outline outline = outline_of(text.file, target, given);
    if (!outline.target.name.empty()) std::printf("TARGET:      %s\n", outline.target.name.c_str());
    if (!outline.target.description.empty())
        std::printf("DESCRIPTION: %s\n", visible(outline.target.description).c_str());
    std::vector<json::Value> rows;
    for (const OutlineArgument& each : outline.arguments)
        rows.push_back(
            {{"Name", each.name}, {"Value", each.value}, {"Description", each.description}});
    std::printf("\n");
    std::fflush(stdout);
    if (!rows.empty()) print_listing("", "{{.Name}}\t{{.Value}}\t{{.Description}}", columns, rows);
    print_needs("SECRET", outline.secrets);
    print_needs("SSH", outline.agents);
}

static bool is_directory(const std::string& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string build_call(const Arguments& args) {
    const std::string method = args.flag("check") ? "check" : args.get("call");
    for (const char* known : {"", "check", "outline", "targets"})
        if (method == known) return method;
    if (method == "build") return {};
    throw Error("invalid method ", quoted(method),
                " of --call: expected build, check, outline or targets");
}

int run_build_call(const std::string& method, const Arguments& globals, const Arguments& args) {
    std::optional<Store> store;
    const BuildContext from = is_directory(args[0])
                                  ? BuildContext{.directory = args[0]}
                                  : open_context(store.emplace(open_store(globals)), args[0]);
    const BuildText text = read_build_text(from, Root(from.directory), args.get("file"));
    if (method == "targets")
        print_targets(text);
    else if (method == "outline")
        print_outline(text, args.get("target"), given_arguments(args));
    else
        return check(text, given_arguments(args), store_root(globals));
    return 0;
}
