#include <cstdio>

#include "cli/commands.h"
#include "engine/container.h"

static int port(const Arguments& globals, const Arguments& args) {
    const Containers containers(store_root(globals));
    const Container container = containers.get(args[0]);
    const std::string wanted = args.size() < 2                          ? ""
                               : args[1].find('/') == std::string::npos ? args[1] + "/tcp"
                                                                        : args[1];
    bool found = false;
    for (const PortBinding& binding : container.state().network.ports) {
        if (!wanted.empty() && binding.inside() != wanted) continue;
        found = true;
        const std::string where =
            str(binding.host_ip.empty() ? "0.0.0.0" : binding.host_ip, ":", binding.host_port);
        if (wanted.empty())
            std::printf("%s -> %s\n", binding.inside().c_str(), where.c_str());
        else
            std::printf("%s\n", where.c_str());
    }
    if (!wanted.empty() && !found)
        throw Error("no public port '", wanted, "' published for ", args[0]);
    return 0;
}

constinit const Command port_command = {
    .name = "port",
    .synopsis = "CONTAINER [PORT[/PROTO]]",
    .summary = "list a container's published ports",
    .least = 1,
    .most = 2,
    .run = port,
};
