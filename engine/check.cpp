// Most rules are make_config's, which the start obeys, too: it is asked with a stand-in for what is
// not known yet, so that no rule has two places. What is here besides concerns the machine, or
// words that would only be written into a file.
#include "engine/check.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/number_list.h"
#include "base/sys.h"
#include "engine/config.h"
#include "engine/init.h"

namespace {

bool is_address(const std::string& text) {
    unsigned char bytes[16];
    return ::inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
           ::inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

void check_names(const Settings& settings) {
    for (const std::string& server : settings.dns)
        if (!is_address(server))
            throw Error("invalid argument ", quoted(server), " for \"--dns\" flag: ", server,
                        " is not an ip address");
    for (const std::string& entry : settings.extra_hosts) {
        const std::string ip = entry.substr(entry.find(':') + 1);
        if (ip != "host-gateway" && !is_address(ip))
            throw Error("invalid IP address in add-host: ", quoted(ip));
    }
    for (const auto& [key, value] : settings.labels)
        if (key.empty()) throw Error("invalid label '=", value, "': empty name");
}

void check_sources(const Settings& settings) {
    for (const VolumeMount& mount : settings.mounts)
        if (mount.type == "bind" && mount.must_exist && !sys::exists(mount.source))
            throw Error("invalid mount config for type \"bind\": bind source path does not exist: ",
                        mount.source);
}

// "0-3,7" within what the machine has, which is written in the same way.
void check_available(const char* what, const std::string& requested, const std::string& online) {
    if (requested.empty()) return;
    const auto wanted = parse_number_list(requested), available = parse_number_list(online);
    if (!wanted || wanted->empty())
        throw Error("Invalid value ", requested, " for cpuset ",
                    what == std::string("CPUs") ? "cpus" : "mems");
    if (!available) return;  // the kernel will say
    for (const NumberRange& range : *wanted) {
        const auto holds = [&](const NumberRange& there) {
            return there.first <= range.first && range.last <= there.last;
        };
        if (std::ranges::none_of(*available, holds))
            throw Error("Requested ", what, " are not available - requested ", requested,
                        ", available: ", trim(online));
    }
}

void check_machine(const Settings& settings) {
    const auto online = [](const char* file) { return read_file_if_exists(file).value_or("0"); };
    check_available("CPUs", settings.cpuset_cpus, online("/sys/devices/system/cpu/online"));
    check_available("memory nodes", settings.cpuset_mems,
                    online("/sys/devices/system/node/online"));
}

}  // namespace

void check_settings(const Settings& settings) {
    if (settings.oom_score_adj < -1000 || settings.oom_score_adj > 1000)
        throw Error("Invalid value ", settings.oom_score_adj,
                    ", range for oom score adj is [-1000, 1000]");
    check_names(settings);
    check_sources(settings);
    check_machine(settings);
    ConfigInputs inputs;
    inputs.hostname = "a-host";
    inputs.mounts = settings.mounts;
    inputs.all_capabilities = own_capabilities();
    add_devices(settings, inputs);
    add_block_io(settings, inputs);
    if (settings.init) inputs.init_path = init_program();
    (void)make_config(settings, inputs);
}
