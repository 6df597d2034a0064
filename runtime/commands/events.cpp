// `events`: numbers every few seconds, and word of each time that the kernel killed somebody for
// want of memory. v1 tells of those by an eventfd that is registered with the group, v2 by a change
// of a file.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "base/duration.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup/limits.h"
#include "runtime/cgroup/stats.h"
#include "runtime/commands/commands.h"
#include "runtime/state/container.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr Option events_options[] = {
    {"interval", "DURATION", "set the stats collection interval", "5s", false, Value::duration},
    {"stats", nullptr, "display the container's stats then exit"},
};

void print(const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
}

void print_stats(const Container& container) {
    Stats stats = read_stats(container.record().cgroup);
    if (const auto& rdt = container.record().intel_rdt)
        stats.intel_rdt = read_rdt_stats(*rdt, resctrl_root());
    print(stats_event(container.id(), stats));
}

// What becomes readable when memory ran out.
class OomWatch {
public:
    explicit OomWatch(const CgroupRecord& record) {
        const auto directory = directory_of(record, "memory");
        if (!directory) return;
        if (record.v2)
            watch_v2(*directory + "/memory.events");
        else
            watch_v1(*directory);
    }
    int fd() const { return fd_.get(); }
    // After fd() was readable: how many more were killed.
    uint64_t news() {
        char events[4096];
        if (::read(fd_.get(), events, sizeof events) < 0 && errno != EAGAIN)
            throw SysError("reading of events");
        if (file_.empty())
            return sys::exists(control_) ? 1 : 0;  // v1 also wakes us when the group goes
        const uint64_t before = std::exchange(killed_, count());
        return killed_ > before ? killed_ - before : 0;
    }

private:
    void watch_v1(const std::string& directory) {
        control_ = directory + "/cgroup.event_control";
        const UniqueFd memory = sys::open(directory + "/memory.oom_control", O_RDONLY);
        fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        check(fd_.get(), "eventfd");
        write_file(control_, str(fd_.get(), " ", memory.get()));
    }
    void watch_v2(const std::string& file) {
        file_ = file;
        fd_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        check(fd_.get(), "inotify_init");
        check(::inotify_add_watch(fd_.get(), file.c_str(), IN_MODIFY), "watching ", file);
        killed_ = count();
    }
    uint64_t count() const {
        for (const std::string& line : split(read_file_if_exists(file_).value_or(""), '\n'))
            if (line.starts_with("oom_kill "))
                return parse_number<uint64_t>(line.substr(9)).value_or(0);
        return 0;
    }

    UniqueFd fd_;
    std::string control_, file_;  // of v1, of v2
    uint64_t killed_ = 0;
};

// Until init ends; what its end had to do with memory is still told.
void watch(const Container& container, std::chrono::nanoseconds interval) {
    const UniqueFd init = sys::pidfd_open(container.record().pid);
    if (!container.init_is_alive()) return;
    OomWatch oom(container.record().cgroup);
    for (auto next = Clock::now() + interval;;) {
        pollfd waiting[] = {{init.get(), POLLIN, 0}, {oom.fd(), POLLIN, 0}};
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
        if (::poll(waiting, 2, int(std::max<int64_t>(left, 0))) < 0 && errno != EINTR)
            throw SysError("poll");
        if (waiting[1].revents)
            for (uint64_t n = oom.news(); n > 0; --n) print(oom_event(container.id()));
        if (waiting[0].revents) return;
        if (Clock::now() < next) continue;
        print_stats(container);
        next += interval;
    }
}

int events(const Arguments& globals, const Arguments& args) {
    const Container container = Container::load(state_root(globals), args[0]);
    const auto interval = parse_duration(args.get("interval")).value();
    if (interval.count() <= 0) throw Error("duration interval must be greater than 0");
    if (!rule_of(container.status()).watch)
        throw Error("container with id ", args[0], " is not running");
    if (args.flag("stats"))
        print_stats(container);
    else
        watch(container, interval);
    return 0;
}

}  // namespace

constinit const Command events_command = {
    .name = "events",
    .synopsis = "<container-id>",
    .summary =
        "display container events such as OOM notifications, cpu, memory, and IO usage statistics",
    .options = events_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = events,
};
