#include "base/error.h"
#include "runtime/checkpoint.h"
#include "runtime/commands/commands.h"

static constexpr Option options[] = {
    {"image-path", "DIR", "path for saving criu image files", "./checkpoint"},
    {"work-path", "DIR", "path for saving work files and logs"},
    {"parent-path", "DIR", "path for previous criu image files in pre-dump"},
    {"leave-running", nullptr, "leave the process running after checkpointing"},
    {"tcp-established", nullptr, "allow open tcp connections"},
    {"tcp-skip-in-flight", nullptr, "skip in-flight tcp connections"},
    {"link-remap", nullptr, "allow one to link unlinked files back when possible"},
    {"ext-unix-sk", nullptr, "allow external unix sockets"},
    {"shell-job", nullptr, "allow shell jobs"},
    {"lazy-pages", nullptr, "use userfaultfd to lazily restore memory pages"},
    {"status-fd", "N", "criu writes \\0 to this descriptor once lazy-pages is ready", "-1", false, Value::integer},
    {"page-server", "ADDRESS:PORT", "the page server that lazy pages or a pre-dump use"},
    {"file-locks", nullptr, "handle file locks, for safety"},
    {"pre-dump", nullptr, "dump container's memory information only, leave the container running after this"},
    {"manage-cgroups-mode", "MODE", "cgroups mode: soft, full, strict or ignore", "soft"},
    {"empty-ns", "NAMESPACE", "create a namespace, but don't save its properties"},
    {"auto-dedup", nullptr, "enable auto deduplication of memory images"},
};

static int run(const Arguments& globals, const Arguments& args) {
    Container container = Container::load(state_root(globals), args[0]);
    CriuOptions wanted = read_criu_options(args);
    wanted.parent_path = args.get("parent-path");
    wanted.page_server = args.get("page-server");
    wanted.pre_dump = args.flag("pre-dump");
    const auto status = parse_number<int>(args.get("status-fd"));
    if (!status) throw Error("invalid status-fd: ", quoted(args.get("status-fd")));
    wanted.status_fd = *status;
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
    .options = options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = run,
};
