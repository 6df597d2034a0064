// All of it or nothing, though two parts of the kernel are told: the cache's schemata first, which
// are taken back if the cgroup refuses its limits; those take themselves back (Cgroup::update). A
// container without a share of the cache gets a group now, and the state names it before anybody is
// moved in, or nobody would remove it. An option, its help and what it sets are one row, so that
// none is declared and then forgotten.
#include <array>

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/size.h"
#include "base/sys.h"
#include "runtime/commands/commands.h"
#include "runtime/state/container.h"

namespace {

using spec::Resources;

template <class Number>
Number number(const std::string& name, const std::string& text) {
    const auto parsed = parse_number<Number>(text);
    if (!parsed)
        throw Error("invalid value for ", name, ": ", quoted(text),
                    " is not a number in its range");
    return *parsed;
}

int64_t bytes(const std::string& name, const std::string& text) {
    if (text == "-1") return -1;
    const auto size = parse_size(text);
    if (!size) throw Error("invalid value for ", name, ": invalid size: '", text, "'");
    return *size;
}

// The options that are one value of the resources. "" is as if it had not been given.
struct Setting {
    Option option;
    void (*set)(Resources&, const std::string& name, const std::string& text);
};
constexpr Setting settings[] = {
    {{"blkio-weight", "N", "specifies per cgroup weight, range is from 10 to 1000", "", false,
      Value::integer},
     [](auto& r, auto& n, auto& t) { r.block_io.weight = number<uint16_t>(n, t); }},
    {{"cpu-period", "N",
      "CPU CFS period to be used for hardcapping (in usecs). 0 to use system default"},
     [](auto& r, auto& n, auto& t) { r.cpu.period = number<uint64_t>(n, t); }},
    {{"cpu-quota", "N", "CPU CFS hardcap limit (in usecs). Allowed cpu time in a given period"},
     [](auto& r, auto& n, auto& t) { r.cpu.quota = number<int64_t>(n, t); }},
    {{"cpu-burst", "N",
      "CPU CFS hardcap burst limit (in usecs). Allowed accumulated cpu time additionally for burst "
      "a given period"},
     [](auto& r, auto& n, auto& t) { r.cpu.burst = number<uint64_t>(n, t); }},
    {{"cpu-share", "N", "CPU shares (relative weight vs. other containers)"},
     [](auto& r, auto& n, auto& t) { r.cpu.shares = number<uint64_t>(n, t); }},
    {{"cpu-rt-period", "N",
      "CPU realtime period to be used for hardcapping (in usecs). 0 to use system default"},
     [](auto& r, auto& n, auto& t) { r.cpu.realtime_period = number<uint64_t>(n, t); }},
    {{"cpu-rt-runtime", "N",
      "CPU realtime hardcap limit (in usecs). Allowed cpu time in a given period"},
     [](auto& r, auto& n, auto& t) { r.cpu.realtime_runtime = number<int64_t>(n, t); }},
    {{"cpuset-cpus", "LIST", "CPU(s) to use"}, [](auto& r, auto&, auto& t) { r.cpu.cpus = t; }},
    {{"cpuset-mems", "LIST", "memory node(s) to use"},
     [](auto& r, auto&, auto& t) { r.cpu.mems = t; }},
    {{"cpu-idle", "N", "set cgroup SCHED_IDLE or not, 0: default behavior, 1: SCHED_IDLE"},
     [](auto& r, auto& n, auto& t) { r.cpu.idle = number<int64_t>(n, t); }},
    {{"memory", "BYTES", "memory limit (in bytes)"},
     [](auto& r, auto& n, auto& t) { r.memory.limit = bytes(n, t); }},
    {{"memory-reservation", "BYTES", "memory reservation or soft_limit (in bytes)"},
     [](auto& r, auto& n, auto& t) { r.memory.reservation = bytes(n, t); }},
    {{"memory-swap", "BYTES",
      "total memory usage (memory + swap); set '-1' to enable unlimited swap"},
     [](auto& r, auto& n, auto& t) { r.memory.swap = bytes(n, t); }},
    {{"pids-limit", "N", "maximum number of pids allowed in the container", "", false,
      Value::integer},
     [](auto& r, auto& n, auto& t) { r.pids.limit = number<int64_t>(n, t); }},
};
constexpr Option others[] = {
    {"l3-cache-schema", "SCHEMA", "the string of Intel RDT/CAT L3 cache schema"},
    {"mem-bw-schema", "SCHEMA", "the string of Intel RDT/MBA memory bandwidth schema"},
    {"resources,r", "FILE",
     "path to the file containing the resources to update, or '-' to read from the standard input; "
     "all other options are ignored then"},
    {"kernel-memory", "BYTES", "(obsolete)", "", true},
    {"kernel-memory-tcp", "BYTES", "(obsolete)", "", true},
};
constexpr auto options = [] {
    std::array<Option, std::size(settings) + std::size(others)> all{};
    size_t at = 0;
    for (const Setting& setting : settings) all[at++] = setting.option;
    for (const Option& option : others) all[at++] = option;
    return all;
}();

Resources read(const Arguments& args) {
    if (const std::string file = args.get("resources"); !file.empty()) {
        const std::string text = file == "-" ? sys::read_all(0) : read_file(file);
        return spec::read_resources(text);
    }
    Resources wanted;
    for (const auto& [option, set] : settings)
        if (const std::string text = args.get(option.names); !text.empty())
            set(wanted, option.names, text);
    for (const char* name : {"kernel-memory", "kernel-memory-tcp"})
        if (!args.get(name).empty())
            log_warning(str("Setting --", name, " is ignored and will be removed"));
    return wanted;
}

// A container that was made without intelRdt gets a group now.
RdtRecord rdt_record(const Container& container) {
    if (container.record().intel_rdt) return *container.record().intel_rdt;
    IntelRdt rdt = IntelRdt::create(plan_intel_rdt({}, container.id()), resctrl_root());
    Record record = container.record();
    record.intel_rdt = rdt.record();
    container.save(record);
    rdt.keep();
    for (const int pid : container.cgroup().pids()) join_intel_rdt(*record.intel_rdt, pid);
    return *record.intel_rdt;
}

// Throws for what this machine does not have.
std::vector<std::string> read_schemata(const Arguments& args) {
    struct {
        std::string schema;
        const char *kind, *what;
    } wanted[] = {
        {args.get("l3-cache-schema"), "L3", "Intel RDT/CAT: l3 cache schema is not enabled"},
        {args.get("mem-bw-schema"), "MB", "Intel RDT/MBA: memory bandwidth schema is not enabled"}};
    const auto root = find_resctrl(read_file("/proc/self/mountinfo"));
    std::vector<std::string> schemata;
    for (const auto& [schema, kind, what] : wanted) {
        if (schema.empty()) continue;
        if (!root || !sys::exists(*root + "/info/" + kind)) throw Error(what);
        schemata.push_back(schema);
    }
    return schemata;
}

// All of it or nothing.
int update(const Arguments& globals, const Arguments& args) {
    Container container = Container::load(state_root(globals), args[0]);
    if (!container.lock())
        throw Error("container does not exist");  // removed while we waited for it
    const Resources wanted = read(args);
    const std::vector<std::string> schemata = read_schemata(args);
    if (!rule_of(container.status()).watch) throw Error("container not running");
    if (schemata.empty()) return container.cgroup().update(wanted), 0;
    const RdtRecord group = rdt_record(container);
    const std::vector<std::string> former = update_schemata(group, schemata);
    Defer take_back([&] {
        attempt("setting the former schemata again", [&] { write_schemata(group, former); });
    });
    container.cgroup().update(wanted);
    take_back.keep();
    return 0;
}

}  // namespace

constinit const Command update_command = {
    .name = "update",
    .synopsis = "<container-id>",
    .summary = "update container resource constraints",
    .options = options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = update,
};
