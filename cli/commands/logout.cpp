#include <cstdio>

#include "cli/commands.h"
#include "image/registry/login.h"

static int logout(const Arguments&, const Arguments& args) {
    const std::string registry = registry_of(args.size() ? args[0] : "");
    const std::string server = server_name(registry);
    if (erase_credentials(registry))
        std::printf("Removing login credentials for %s\n", server.c_str());
    else
        std::printf("Not logged in to %s\n", server.c_str());
    return 0;
}

constinit const Command logout_command = {
    .name = "logout",
    .synopsis = "[SERVER]",
    .summary = "forget who you are to a registry",
    .most = 1,
    .interspersed = true,
    .run = logout,
};
