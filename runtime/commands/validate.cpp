// Everything that is wrong with a bundle: what the document breaks by itself (spec/validate.cpp),
// what it names that is not there, and what this machine cannot do. Nothing is created.
#include "spec/validate.h"

#include <linux/nsfs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "base/root.h"
#include "base/sys.h"
#include "runtime/cgroup/limits.h"
#include "runtime/commands/commands.h"
#include "runtime/process/namespaces.h"
#include "runtime/start/plan.h"

using spec::Violation;

template <>
inline constexpr auto json::fields<Violation> =
    std::tuple(json::required("message", &Violation::message),
               json::required("document", &Violation::document),
               json::required("section", &Violation::section),
               json::required("rule", &Violation::rule));

static constexpr Option validate_options[] = {
    {"format,f", "FORMAT", "select one of: text or json", "text"},
};

static void check_root(const std::string& root, std::vector<Violation>& out) {
    std::error_code error;
    if (!std::filesystem::is_directory(root, error))
        out.push_back({"root.path: " + quoted(root) + " is not a directory", "config.md", "root",
                       "a directory MUST exist at the path declared by the field"});
}

static void check_namespaces(const spec::Config& config, std::vector<Violation>& out) {
    for (const spec::Namespace& ns : config.linux.namespaces) {
        const auto kind = std::ranges::find(namespace_kinds(), ns.type, &NamespaceKind::type);
        if (ns.path.empty() || kind == namespace_kinds().end()) continue;
        const auto opened = sys::try_open(ns.path, O_RDONLY | O_NONBLOCK);
        if (opened && ::ioctl(opened->get(), NS_GET_NSTYPE) == int(kind->flag)) continue;
        const std::string why =
            opened ? str(" is not a ", ns.type, " namespace") : ": " + errno_text(opened.error());
        out.push_back({"linux.namespaces: namespace path " + quoted(ns.path) + why,
                       "config-linux.md", "namespaces",
                       "the runtime MUST generate an error if path is not associated with a "
                       "namespace of type type"});
    }
}

static void check_hooks(const spec::Config& config, const std::string& root,
                        std::vector<Violation>& out) {
    const auto check = [&](const char* kind, const std::vector<spec::Hook>& hooks,
                           const char* where, auto&& is_there) {
        for (const spec::Hook& hook : hooks)
            if (hook.path.starts_with('/') && !is_there(hook.path))
                out.push_back({str("hooks.", kind, ": ", quoted(hook.path), " does not exist"),
                               "config.md", "posix-platform-hooks",
                               str("the value of path MUST resolve in the ", where, " namespace")});
    };
    const auto here = [](const std::string& path) { return std::filesystem::exists(path); };
    check("prestart", config.hooks.prestart, "runtime", here);
    check("createRuntime", config.hooks.create_runtime, "runtime", here);
    check("createContainer", config.hooks.create_container, "runtime", here);
    check("poststart", config.hooks.poststart, "runtime", here);
    check("poststop", config.hooks.poststop, "runtime", here);
    if (!std::filesystem::is_directory(root)) return;
    const Root inside(root);
    check("startContainer", config.hooks.start_container, "container",
          [&](const std::string& path) { return bool(inside.open_if_exists(path, O_PATH)); });
}

// What create would refuse on this machine before it makes anything: there is no AppArmor, or a
// limit is out of the range of this version of cgroups. Who is not sound by itself is not asked.
static void check_applicable(const Arguments& globals, const std::string& path,
                             const spec::Config& config, std::vector<Violation>& out) {
    if (!out.empty()) return;
    try {
        const CreateOptions create{.state_root = state_root(globals),
                                   .id = "validate",
                                   .bundle = path,
                                   .cgroup_manager = cgroup_manager(globals),
                                   .rootless = rootless(globals)};
        const Bundle bundle{.path = path, .text = {}, .config = config};
        const Plan plan = make_plan(create, bundle, gather_facts(create, bundle));
        plan_limits(Cgroup::plan(plan.cgroup), plan.cgroup.resources);
        if (config.linux.seccomp) compile_filter(*config.linux.seccomp);
    } catch (const Error& e) {
        out.push_back({e.what(), "runtime.md", "create",
                       "if the runtime cannot apply a property as specified in the configuration, "
                       "it MUST generate an error"});
    }
}

static std::vector<Violation> violations_of(const Arguments& globals, const std::string& bundle) {
    const auto text = read_file_if_exists(bundle + "/config.json");
    if (!text)
        return {{"JSON specification file config.json not found", "bundle.md", "container-format",
                 "this REQUIRED file MUST reside in the root of the bundle directory and MUST be "
                 "named config.json"}};
    spec::Reading reading = spec::read_and_validate(*text);
    const std::string path = reading.config.root ? reading.config.root->path : "";
    const std::string root = path.starts_with('/') ? path : bundle + "/" + path;
    if (!path.empty()) check_root(root, reading.violations);
    check_namespaces(reading.config, reading.violations);
    check_hooks(reading.config, root, reading.violations);
    check_applicable(globals, bundle, reading.config, reading.violations);
    return reading.violations;
}

static int validate(const Arguments& globals, const Arguments& args) {
    const std::string bundle = absolute_path(args.size() ? args[0] : ".");
    const std::vector<Violation> found = violations_of(globals, bundle);
    if (args.get("format") == "json") {
        json::Value report;
        report["bundle"] = bundle;
        report["valid"] = found.empty();
        report["violations"] = json::write(found);
        std::printf("%s\n", json::dump(report, 2).c_str());
    } else if (args.get("format") == "text") {
        for (const Violation& v : found)
            std::printf("%s\n    %s#%s: %s\n", v.message.c_str(), v.document.c_str(),
                        v.section.c_str(), v.rule.c_str());
        if (found.empty()) std::printf("%s is a valid bundle\n", bundle.c_str());
    } else {
        throw Error("invalid format option: ", quoted(args.get("format")));
    }
    return found.empty() ? 0 : 1;
}

constinit const Command validate_command = {
    .name = "validate",
    .synopsis = "[bundle]",
    .summary = "say everything that is wrong with a bundle, with the rules of the spec",
    .options = validate_options,
    .least = 0,
    .most = 1,
    .interspersed = true,
    .run = validate,
};
