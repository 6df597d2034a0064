// What this program is, and what it works on: `keg version` and `keg info`.
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/template.h"
#include "container/host_cgroups.h"
#include "runtime/client.h"

namespace {

constexpr Option format_option[] = {
    {"format,f", "TEMPLATE", "a template, or json"},
};

// By a template, as JSON, or as lines "Key: value".
int print_facts(const json::Value& facts, const std::string& format, const char* title) {
    if (format == "json" || format == "{{json .}}") {
        std::printf("%s\n", json::dump(facts, -1).c_str());
    } else if (!format.empty()) {
        std::printf("%s\n", Template(format).render(facts).c_str());
    } else {
        std::printf("%s:\n", title);
        for (const auto& [key, value] : facts.items())
            std::printf(
                " %s: %s\n", key.c_str(),
                visible(value.is_string() ? value.get<std::string>() : json::dump(value, -1))
                    .c_str());
    }
    return 0;
}

std::string name_of_system() {
    for (const std::string& line : split(read_file_if_exists("/etc/os-release").value_or(""), '\n'))
        if (line.starts_with("PRETTY_NAME=")) {
            std::string name = line.substr(12);
            std::erase(name, '"');
            return name;
        }
    return "Linux";
}

utsname kernel() {
    utsname name{};
    ::uname(&name);
    return name;
}

int version(const Arguments&, const Arguments& args) {
    const utsname machine = kernel();
    const json::Value here = {{"Version", KEG_VERSION},
                              {"Os", "linux"},
                              {"Arch", host_platform().substr(6)},
                              {"KernelVersion", machine.release}};
    const std::string format = args.get("format");
    if (!format.empty())  // who asks a client and a daemon gets the same answer from both
        return print_facts({{"Client", here}, {"Server", here}}, format, "keg");
    return print_facts(here, format, "keg");
}

int info(const Arguments& globals, const Arguments& args) {
    const std::string root = store_root(globals);
    const Store store = open_store(globals);
    size_t running = 0, paused = 0, stopped = 0;
    for (const Container& container : Containers(root).list()) {
        const std::string status = container.state().status;
        ++(status == "running" || status == "restarting" ? running
           : status == "paused"                          ? paused
                                                         : stopped);
    }
    const utsname machine = kernel();
    struct sysinfo memory{};
    ::sysinfo(&memory);
    const json::Value facts = {
        {"ServerVersion", KEG_VERSION},
        {"Containers", running + paused + stopped},
        {"ContainersRunning", running},
        {"ContainersPaused", paused},
        {"ContainersStopped", stopped},
        {"Images", store.images().size()},
        {"Driver", "overlayfs"},
        {"LoggingDriver", "json-file"},
        {"CgroupDriver", "cgroupfs"},
        {"CgroupVersion", host_has_cgroup_v2() ? "2" : "1"},
        {"DefaultRuntime", RuntimeClient(root, runtime_program(globals)).program()},
        {"KernelVersion", machine.release},
        {"OperatingSystem", name_of_system()},
        {"OSType", "linux"},
        {"Architecture", machine.machine},
        {"NCPU", std::thread::hardware_concurrency()},
        {"MemTotal", uint64_t(memory.totalram) * memory.mem_unit},
        {"Name", machine.nodename},
        {"DockerRootDir", root}};
    return print_facts(facts, args.get("format"), "Server");
}

}  // namespace

constinit const Command version_command = {
    .name = "version",
    .synopsis = "",
    .summary = "show the version of keg",
    .options = format_option,
    .most = 0,
    .interspersed = true,
    .run = version,
};

constinit const Command info_command = {
    .name = "info",
    .synopsis = "",
    .summary = "show what there is here, and on what machine",
    .options = format_option,
    .most = 0,
    .interspersed = true,
    .run = info,
};
