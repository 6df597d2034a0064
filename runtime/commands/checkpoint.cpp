// What is written are the processes; the container ends with that, unless it is to go on or this
// was only a pre-dump. So one lock is held from before the dump until the container is removed: no
// start, update or delete comes in between. Switches that CRIU is handed as they are come from the
// table of criu_options.cpp and are read here for `restore` as well, which declares some of them.
#include <limits.h>

#include "base/error.h"
#include "runtime/commands/commands.h"
#include "runtime/commands/criu_options.h"

static constexpr Option checkpoint_options[] = {
    criu_option::image_path,
    criu_option::work_path,
    {"parent-path", "DIR", "path for previous criu image files in pre-dump"},
    {"leave-running", nullptr, "leave the process running after checkpointing"},
    criu_option::tcp_established,
    {"tcp-skip-in-flight", nullptr, "skip in-flight tcp connections"},
    {"link-remap", nullptr, "allow one to link unlinked files back when possible"},
    criu_option::ext_unix_sk,
    criu_option::shell_job,
    criu_option::lazy_pages,
    {"status-fd", "N", "criu writes \\0 to this descriptor once lazy-pages is ready", "-1", false,
     Value::integer},
    {"page-server", "ADDRESS:PORT", "the page server that lazy pages or a pre-dump use"},
    criu_option::file_locks,
    {"pre-dump", nullptr,
     "dump container's memory information only, leave the container running after this"},
    criu_option::manage_cgroups_mode,
    criu_option::empty_ns,
    criu_option::auto_dedup,
};

static int run(const Arguments& globals, const Arguments& args) {
    Container container = Container::load(state_root(globals), args[0]);
    CriuOptions wanted = read_criu_options(args);
    wanted.parent_path = args.get("parent-path");
    wanted.page_server = args.get("page-server");
    wanted.pre_dump = args.flag("pre-dump");
    wanted.status_fd = int(number(args, "status-fd", -1, INT_MAX));
    if (!container.lock()) throw Error("container does not exist");
    checkpoint(container, wanted);
    if (!args.flag("leave-running") && !wanted.pre_dump) container.destroy();
    return 0;
}

CriuOptions read_criu_options(const Arguments& args) {
    CriuOptions wanted;
    wanted.image_path = args.get("image-path");
    wanted.work_path = args.get("work-path");
    wanted.cgroups_mode = args.get("manage-cgroups-mode");
    wanted.empty_namespaces = args.all("empty-ns");
    for (const std::string_view name : criu_switches())
        if (args.flag(name)) wanted.switches.push_back(name);
    return wanted;
}

constinit const Command checkpoint_command = {
    .name = "checkpoint",
    .synopsis = "<container-id>",
    .summary = "checkpoint a running container",
    .options = checkpoint_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = run,
};
