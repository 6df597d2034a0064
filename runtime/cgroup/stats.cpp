// Two reading tables, one row per number: which file, which key in it, where it goes. What is not a
// number per file has a function below them.
#include "runtime/cgroup/stats.h"

#include <unistd.h>

#include <algorithm>
#include <limits>

#include "base/directory.h"
#include "base/number_list.h"
#include "base/sys.h"
#include "base/text.h"
#include "runtime/cgroup/limits.h"

namespace {

constexpr uint64_t all = std::numeric_limits<uint64_t>::max();

struct Row {
    const char *controller, *file, *key;  // key "": the file is one number
    uint64_t& (*where)(Stats&);
    uint64_t scale = 1;  // microseconds and ticks become nanoseconds
    uint64_t max = 0;    // what "max" is told as
};

constexpr uint64_t tick = 10'000'000;  // USER_HZ is 100 wherever Linux runs

constexpr Row v1_rows[] = {
    {"cpuacct", "cpuacct.usage", "", [](Stats& s) -> uint64_t& { return s.cpu.usage.total; }},
    {"cpuacct", "cpuacct.stat", "user", [](Stats& s) -> uint64_t& { return s.cpu.usage.user; },
     tick},
    {"cpuacct", "cpuacct.stat", "system", [](Stats& s) -> uint64_t& { return s.cpu.usage.kernel; },
     tick},
    {"cpu", "cpu.stat", "nr_periods",
     [](Stats& s) -> uint64_t& { return s.cpu.throttling.periods; }},
    {"cpu", "cpu.stat", "nr_throttled",
     [](Stats& s) -> uint64_t& { return s.cpu.throttling.throttled_periods; }},
    {"cpu", "cpu.stat", "throttled_time",
     [](Stats& s) -> uint64_t& { return s.cpu.throttling.throttled_time; }},
    {"cpuset", "cpuset.cpu_exclusive", "",
     [](Stats& s) -> uint64_t& { return s.cpuset.cpu_exclusive; }},
    {"cpuset", "cpuset.mem_hardwall", "",
     [](Stats& s) -> uint64_t& { return s.cpuset.mem_hardwall; }},
    {"cpuset", "cpuset.mem_exclusive", "",
     [](Stats& s) -> uint64_t& { return s.cpuset.mem_exclusive; }},
    {"cpuset", "cpuset.memory_migrate", "",
     [](Stats& s) -> uint64_t& { return s.cpuset.memory_migrate; }},
    {"cpuset", "cpuset.memory_spread_page", "",
     [](Stats& s) -> uint64_t& { return s.cpuset.memory_spread_page; }},
    {"cpuset", "cpuset.memory_spread_slab", "",
     [](Stats& s) -> uint64_t& { return s.cpuset.memory_spread_slab; }},
    {"cpuset", "cpuset.memory_pressure", "",
     [](Stats& s) -> uint64_t& { return s.cpuset.memory_pressure; }},
    {"cpuset", "cpuset.sched_load_balance", "",
     [](Stats& s) -> uint64_t& { return s.cpuset.sched_load_balance; }},
    {"memory", "memory.stat", "cache", [](Stats& s) -> uint64_t& { return s.memory.cache; }},
    {"memory", "memory.usage_in_bytes", "",
     [](Stats& s) -> uint64_t& { return s.memory.usage.usage; }},
    {"memory", "memory.max_usage_in_bytes", "",
     [](Stats& s) -> uint64_t& { return s.memory.usage.max; }},
    {"memory", "memory.failcnt", "", [](Stats& s) -> uint64_t& { return s.memory.usage.failcnt; }},
    {"memory", "memory.limit_in_bytes", "",
     [](Stats& s) -> uint64_t& { return s.memory.usage.limit; }},
    {"memory", "memory.memsw.usage_in_bytes", "",
     [](Stats& s) -> uint64_t& { return s.memory.swap.usage; }},
    {"memory", "memory.memsw.max_usage_in_bytes", "",
     [](Stats& s) -> uint64_t& { return s.memory.swap.max; }},
    {"memory", "memory.memsw.failcnt", "",
     [](Stats& s) -> uint64_t& { return s.memory.swap.failcnt; }},
    {"memory", "memory.memsw.limit_in_bytes", "",
     [](Stats& s) -> uint64_t& { return s.memory.swap.limit; }},
    {"memory", "memory.kmem.usage_in_bytes", "",
     [](Stats& s) -> uint64_t& { return s.memory.kernel.usage; }},
    {"memory", "memory.kmem.max_usage_in_bytes", "",
     [](Stats& s) -> uint64_t& { return s.memory.kernel.max; }},
    {"memory", "memory.kmem.failcnt", "",
     [](Stats& s) -> uint64_t& { return s.memory.kernel.failcnt; }},
    {"memory", "memory.kmem.limit_in_bytes", "",
     [](Stats& s) -> uint64_t& { return s.memory.kernel.limit; }},
    {"memory", "memory.kmem.tcp.usage_in_bytes", "",
     [](Stats& s) -> uint64_t& { return s.memory.kernel_tcp.usage; }},
    {"memory", "memory.kmem.tcp.max_usage_in_bytes", "",
     [](Stats& s) -> uint64_t& { return s.memory.kernel_tcp.max; }},
    {"memory", "memory.kmem.tcp.failcnt", "",
     [](Stats& s) -> uint64_t& { return s.memory.kernel_tcp.failcnt; }},
    {"memory", "memory.kmem.tcp.limit_in_bytes", "",
     [](Stats& s) -> uint64_t& { return s.memory.kernel_tcp.limit; }},
    {"pids", "pids.current", "", [](Stats& s) -> uint64_t& { return s.pids.current; }},
    {"pids", "pids.max", "", [](Stats& s) -> uint64_t& { return s.pids.limit; }},
};

constexpr Row v2_rows[] = {
    {"cpu", "cpu.stat", "usage_usec", [](Stats& s) -> uint64_t& { return s.cpu.usage.total; },
     1000},
    {"cpu", "cpu.stat", "user_usec", [](Stats& s) -> uint64_t& { return s.cpu.usage.user; }, 1000},
    {"cpu", "cpu.stat", "system_usec", [](Stats& s) -> uint64_t& { return s.cpu.usage.kernel; },
     1000},
    {"cpu", "cpu.stat", "nr_periods",
     [](Stats& s) -> uint64_t& { return s.cpu.throttling.periods; }},
    {"cpu", "cpu.stat", "nr_throttled",
     [](Stats& s) -> uint64_t& { return s.cpu.throttling.throttled_periods; }},
    {"cpu", "cpu.stat", "throttled_usec",
     [](Stats& s) -> uint64_t& { return s.cpu.throttling.throttled_time; }, 1000},
    {"memory", "memory.stat", "file", [](Stats& s) -> uint64_t& { return s.memory.cache; }},
    {"memory", "memory.current", "", [](Stats& s) -> uint64_t& { return s.memory.usage.usage; }},
    {"memory", "memory.peak", "", [](Stats& s) -> uint64_t& { return s.memory.usage.max; }},
    {"memory", "memory.max", "", [](Stats& s) -> uint64_t& { return s.memory.usage.limit; }, 1,
     all},
    {"memory", "memory.events", "max",
     [](Stats& s) -> uint64_t& { return s.memory.usage.failcnt; }},
    {"memory", "memory.swap.current", "",
     [](Stats& s) -> uint64_t& { return s.memory.swap.usage; }},
    {"memory", "memory.swap.max", "", [](Stats& s) -> uint64_t& { return s.memory.swap.limit; }, 1,
     all},
    {"pids", "pids.current", "", [](Stats& s) -> uint64_t& { return s.pids.current; }},
    {"pids", "pids.max", "", [](Stats& s) -> uint64_t& { return s.pids.limit; }},
};

uint64_t number(std::string_view text, uint64_t max = 0) {
    text = trim(text);
    return text == "max" ? max : parse_number<uint64_t>(text).value_or(0);
}

// "key value" lines.
std::map<std::string, uint64_t> keyed(const std::optional<std::string>& text) {
    std::map<std::string, uint64_t> found;
    for (const std::string& line : split(text.value_or(""), '\n'))
        if (const size_t blank = line.find(' '); blank != std::string::npos)
            found[line.substr(0, blank)] = number(std::string_view(line).substr(blank + 1));
    return found;
}

void read_rows(Stats& stats, std::span<const Row> rows, const StatFile& file) {
    for (const Row& row : rows) {
        const auto text = file(row.controller, row.file);
        if (!text) continue;
        row.where(stats) = (*row.key ? keyed(text)[row.key] : number(*text, row.max)) * row.scale;
    }
}

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"
std::optional<Pressure> pressure(const std::optional<std::string>& text) {
    if (!text) return {};
    Pressure found;
    for (const std::string& line : split(*text, '\n')) {
        const std::vector<std::string> words = split(line, ' ');
        if (words.size() < 5) continue;
        PressureLine& into = words[0] == "some" ? found.some : found.full;
        const auto value = [&](size_t i) { return words[i].substr(words[i].find('=') + 1); };
        const auto average = [&](size_t i) { return std::strtod(value(i).c_str(), nullptr); };
        into = {average(1), average(2), average(3), number(value(4))};
    }
    return found;
}

// "8:0 Read 4096", or without the middle word; the sum of all at the end has no device.
std::vector<BlkioEntry> entries(const std::optional<std::string>& text) {
    std::vector<BlkioEntry> found;
    for (const std::string& line : split(text.value_or(""), '\n')) {
        const std::vector<std::string> words = split(line, ' ');
        const size_t colon = words[0].find(':');
        if (words.size() < 2 || colon == std::string::npos) continue;
        found.push_back({number(words[0].substr(0, colon)), number(words[0].substr(colon + 1)),
                         words.size() > 2 ? words[1] : "", number(words.back())});
    }
    return found;
}

// The scheduler that is in use counts; the throttling layer always does, but knows only two things.
void read_blkio_v1(BlkioStats& stats, const StatFile& file) {
    static constexpr struct {
        const char* name;
        std::vector<BlkioEntry> BlkioStats::* where;
    } rows[] = {
        {"io_service_bytes_recursive", &BlkioStats::service_bytes},
        {"io_serviced_recursive", &BlkioStats::serviced},
        {"io_queued_recursive", &BlkioStats::queued},
        {"io_service_time_recursive", &BlkioStats::service_time},
        {"io_wait_time_recursive", &BlkioStats::wait_time},
        {"io_merged_recursive", &BlkioStats::merged},
        {"time_recursive", &BlkioStats::time},
        {"sectors_recursive", &BlkioStats::sectors},
    };
    for (const auto& [name, where] : rows)
        for (const char* prefix : {"blkio.bfq.", "blkio.", "blkio.throttle."})
            if ((stats.*where).empty()) stats.*where = entries(file("blkio", str(prefix, name)));
}

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0"
void read_io_v2(BlkioStats& stats, const StatFile& file) {
    static constexpr struct {
        std::string_view key;
        const char* op;
        std::vector<BlkioEntry> BlkioStats::* where;
    } keys[] = {
        {"rbytes=", "Read", &BlkioStats::service_bytes},
        {"wbytes=", "Write", &BlkioStats::service_bytes},
        {"rios=", "Read", &BlkioStats::serviced},
        {"wios=", "Write", &BlkioStats::serviced},
    };
    for (const std::string& line : split(file("io", "io.stat").value_or(""), '\n')) {
        const std::vector<std::string> words = split(line, ' ');
        const size_t colon = words[0].find(':');
        if (colon == std::string::npos) continue;
        for (const std::string& word : words)
            for (const auto& [key, op, where] : keys)
                if (word.starts_with(key))
                    (stats.*where)
                        .push_back({number(words[0].substr(0, colon)),
                                    number(words[0].substr(colon + 1)), op,
                                    number(std::string_view(word).substr(key.size()))});
    }
}

// What is reserved counts where the kernel knows it, as with the limits.
void read_hugetlb(Stats& stats, const StatFile& file, bool v2,
                  const std::vector<std::string>& page_sizes) {
    for (const std::string& size : page_sizes)
        for (const char* reserved : {".rsvd", ""}) {
            const std::string name = str("hugetlb.", size, reserved);
            const auto usage = file("hugetlb", name + (v2 ? ".current" : ".usage_in_bytes"));
            if (!usage || stats.hugetlb.contains(size)) continue;
            HugetlbStats& one = stats.hugetlb[size];
            one.usage = number(*usage);
            if (v2)
                one.failcnt = keyed(file("hugetlb", str("hugetlb.", size, ".events")))["max"];
            else
                one.max = number(file("hugetlb", name + ".max_usage_in_bytes").value_or("")),
                one.failcnt = number(file("hugetlb", name + ".failcnt").value_or(""));
        }
}

// "mlx4_0 hca_handle=2 hca_object=max"
std::vector<RdmaEntry> rdma_entries(const std::optional<std::string>& text) {
    std::vector<RdmaEntry> found;
    for (const std::string& line : split(text.value_or(""), '\n')) {
        const std::vector<std::string> words = split(line, ' ');
        if (words.size() < 3) continue;
        RdmaEntry entry{.device = words[0]};
        for (const std::string& word : words) {
            if (word.starts_with("hca_handle="))
                entry.hca_handle = number(word.substr(11), std::numeric_limits<uint32_t>::max());
            if (word.starts_with("hca_object="))
                entry.hca_object = number(word.substr(11), std::numeric_limits<uint32_t>::max());
        }
        found.push_back(entry);
    }
    return found;
}

// "0-2,5" as 0, 1, 2, 5.
std::vector<uint16_t> listed(const std::string& text) {
    std::vector<uint16_t> found;
    for (const unsigned n :
         numbers_in(parse_number_list(text).value_or(std::vector<NumberRange>{})))
        found.push_back(uint16_t(n));
    return found;
}

std::vector<uint64_t> numbers(const std::string& text) {
    std::vector<uint64_t> found;
    for (const std::string& word : split(trim(text), ' ')) found.push_back(number(word));
    return found;
}

void read_v1(Stats& stats, const StatFile& file) {
    read_rows(stats, v1_rows, file);
    if (const auto text = file("cpuacct", "cpuacct.usage_percpu"))
        stats.cpu.usage.percpu = numbers(*text);
    const std::vector<std::string> per_cpu =
        split(file("cpuacct", "cpuacct.usage_all").value_or(""), '\n');
    for (size_t i = 1; i < per_cpu.size(); ++i) {  // below a line of titles: cpu user system
        const std::vector<uint64_t> columns = numbers(per_cpu[i]);
        if (columns.size() < 3) continue;
        stats.cpu.usage.percpu_user.push_back(columns[1]);
        stats.cpu.usage.percpu_kernel.push_back(columns[2]);
    }
    stats.cpuset.cpus = listed(file("cpuset", "cpuset.cpus").value_or(""));
    stats.cpuset.mems = listed(file("cpuset", "cpuset.mems").value_or(""));
    if (const auto level = file("cpuset", "cpuset.sched_relax_domain_level"))
        stats.cpuset.sched_relax_domain_level = parse_number<int64_t>(trim(*level)).value_or(0);
    read_blkio_v1(stats.blkio, file);
}

void read_v2(Stats& stats, const StatFile& file) {
    read_rows(stats, v2_rows, file);
    // v1 counts memory and swap together.
    if (file("memory", "memory.swap.current")) {
        stats.memory.swap.usage += stats.memory.usage.usage;
        uint64_t &swap = stats.memory.swap.limit, memory = stats.memory.usage.limit;
        swap = swap == all || memory == all ? all : swap + memory;
    }
    stats.memory.event_count = keyed(file("memory", "memory.events"));
    read_io_v2(stats.blkio, file);
    stats.cpu.psi = pressure(file("cpu", "cpu.pressure"));
    stats.memory.psi = pressure(file("memory", "memory.pressure"));
    stats.blkio.psi = pressure(file("io", "io.pressure"));
}

// As in the names of the controller's files: hugepages-2048kB is 2MB.
std::vector<std::string> huge_page_sizes() {
    std::vector<std::string> names;
    for (const std::string_view name : names_in_if_exists("/sys/kernel/mm/hugepages")) {
        if (!name.starts_with("hugepages-") || !name.ends_with("kB")) continue;
        uint64_t size = number(name.substr(10, name.size() - 12));
        const char* unit = "KB";
        if (size >= 1048576)
            size /= 1048576, unit = "GB";
        else if (size >= 1024)
            size /= 1024, unit = "MB";
        names.push_back(str(size, unit));
    }
    std::ranges::sort(names);
    return names;
}

}  // namespace

Stats read_stats(const StatFile& file, bool v2, const std::vector<std::string>& page_sizes) {
    Stats stats;
    if (v2)
        read_v2(stats, file);
    else
        read_v1(stats, file);
    stats.memory.raw = keyed(file("memory", "memory.stat"));
    read_hugetlb(stats, file, v2, page_sizes);
    stats.rdma = {rdma_entries(file("rdma", "rdma.max")),
                  rdma_entries(file("rdma", "rdma.current"))};
    return stats;
}

Stats read_stats(const CgroupRecord& record) {
    const StatFile file = [&](std::string_view controller,
                              const std::string& name) -> std::optional<std::string> {
        const auto directory = directory_of(record, controller);
        if (!directory) return {};
        const auto opened = sys::try_open(*directory + "/" + name, O_RDONLY);
        if (!opened) return {};
        std::string text;
        char buffer[4096];
        ssize_t got;
        while ((got = ::read(opened->get(), buffer, sizeof buffer)) > 0)
            text.append(buffer, size_t(got));
        if (got < 0) return {};  // pressure that the kernel was told not to count
        return text;
    };
    return read_stats(file, record.v2, huge_page_sizes());
}
