// All that nothing needs, by the commands that remove each kind of it: containers first, which have
// the others.
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/run_command.h"

namespace {

constexpr Option system_prune_options[] = {
    {"all,a", nullptr, "every image that no container uses, not only dangling ones"},
    {"filter", "KEY=VALUE", "of containers, networks and volumes only those: label"},
    {"force,f", nullptr, "do not ask"},
    {"volumes", nullptr, "volumes without a name, too"},
};

int system_prune(const Arguments& globals, const Arguments& args) {
    std::string what = "all stopped containers, all networks not used by at least one container, ";
    if (args.flag("volumes")) what += "all anonymous volumes not used by at least one container, ";
    what += args.flag("all") ? "all images without at least one container associated to them"
                             : "all dangling images";
    if (!args.flag("force") && !is_confirmed(what)) return 0;
    std::vector<std::vector<std::string>> steps = {{"container", "prune", "-f"},
                                                   {"network", "prune", "-f"}};
    if (args.flag("volumes")) steps.push_back({"volume", "prune", "-f"});
    for (std::vector<std::string>& step : steps)
        for (const std::string& filter : args.all("filter"))
            step.insert(step.end(), {"--filter", filter});
    steps.push_back({"image", "prune", "-f"});
    if (args.flag("all")) steps.back().push_back("-a");
    int code = 0;
    for (const std::vector<std::string>& step : steps)
        if (const int failed = run_command_line(globals, step)) code = failed;
    return code;
}

}  // namespace

extern const Command system_prune_command;
constinit const Command system_prune_command = {
    .name = "system prune",
    .synopsis = "",
    .summary = "remove all that nothing needs: containers, networks, images",
    .options = system_prune_options,
    .most = 0,
    .interspersed = true,
    .run = system_prune,
};
