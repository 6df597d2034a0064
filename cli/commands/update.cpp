// What is not given stays as it is, so nothing here has a default.
#include "engine/update.h"

#include <climits>
#include <cstdint>

#include "cli/commands.h"
#include "cli/containers.h"

namespace {

constexpr Option update_options[] = {
    {"blkio-weight", "N", "share of block I/O, 10 to 1000", "", false, Value::integer, 0, 1000},
    {"cpu-period", "MICROSECONDS", "the scheduler's period", "", false, Value::integer, 0, 1000000},
    {"cpu-quota", "MICROSECONDS", "how much of each period it may run; -1: all", "", false,
     Value::integer, -1, INT64_MAX / 2},
    {"cpu-rt-period", "MICROSECONDS", "the real-time scheduler's period", "", false, Value::integer,
     0, 1000000},
    {"cpu-rt-runtime", "MICROSECONDS", "how much of it real-time processes may run", "", false,
     Value::integer, -1, 1000000},
    {"cpu-shares,c", "N", "CPU weight relative to others", "", false, Value::integer, 0, 262144},
    {"cpus", "N", "number of CPUs, 1.5 for example"},
    {"cpuset-cpus", "CPUS", "CPUs it may run on (0-3, 0,1)"},
    {"cpuset-mems", "NODES", "memory nodes it may use"},
    {"memory,m", "BYTES", "memory limit"},
    {"memory-reservation", "BYTES", "memory soft limit"},
    {"memory-swap", "BYTES", "limit of memory and swap; -1: unlimited swap"},
    {"pids-limit", "N", "how many processes it may have; -1: any number", "", false, Value::integer,
     -1, 4194304},
    {"restart", "POLICY", "no, on-failure[:N], always or unless-stopped"},
};

int update(const Arguments& globals, const Arguments& args) {
    ContainerRequest request;
    request.blkio_weight = args.number("blkio-weight");
    request.cpu_period = args.number("cpu-period"), request.cpu_quota = args.number("cpu-quota");
    request.cpu_rt_period = args.number("cpu-rt-period"),
    request.cpu_rt_runtime = args.number("cpu-rt-runtime");
    request.cpu_shares = args.number("cpu-shares"), request.pids_limit = args.number("pids-limit");
    request.cpus = args.get("cpus"), request.cpuset_cpus = args.get("cpuset-cpus"),
    request.cpuset_mems = args.get("cpuset-mems");
    request.memory = args.get("memory"),
    request.memory_reservation = args.get("memory-reservation"),
    request.memory_swap = args.get("memory-swap");
    request.restart = args.get("restart");
    const Containers containers(store_root(globals));
    return for_each_container(containers, args.words(), true, [&](const Container& container) {
        update_container(containers, container, request);
    });
}

}  // namespace

constinit const Command update_command = {
    .name = "update",
    .synopsis = "CONTAINER [CONTAINER...]",
    .summary = "change limits and the restart policy of containers",
    .options = update_options,
    .least = 1,
    .interspersed = true,
    .run = update,
};
