// What run and create share: their options, and how options and an image become a container's
// settings.
#pragma once

#include <climits>
#include <span>

#include "base/command_line.h"
#include "cli/trust_options.h"
#include "engine/container.h"
#include "image/store.h"

inline constexpr Option run_options[] = {
    // Of run alone; create leaves them out.
    {"detach,d", nullptr, "print the container's ID and return at once"},
    {"sig-proxy", nullptr, "pass signals to the process (default true)"},
    // Of both.
    {"add-host", "HOST:IP", "a line of /etc/hosts"},
    {"attach,a", "STREAM", "attach to stdin, stdout or stderr only"},
    {"cap-add", "CAP", "add a Linux capability, or ALL"},
    {"cap-drop", "CAP", "drop a Linux capability, or ALL"},
    {"cgroup-parent", "CGROUP", "the cgroup to make the container's in"},
    {"cidfile", "FILE", "write the container's ID to that file"},
    {"cpu-shares,c", "N", "CPU weight relative to others", "", false, Value::integer, 0, 262144},
    {"cpus", "N", "number of CPUs, 1.5 for example"},
    {"cpuset-cpus", "CPUS", "CPUs it may run on (0-3, 0,1)"},
    {"cpuset-mems", "NODES", "memory nodes it may use"},
    {"device", "HOST[:CTR][:rwm]", "add a host device"},
    {"dns", "IP", "a DNS server"},
    {"dns-option", "OPTION", "an option of resolv.conf"},
    {"dns-opt", "OPTION", "", "", true},
    {"dns-search", "DOMAIN", "a DNS search domain"},
    {"domainname", "NAME", "the container's NIS domain name"},
    {"entrypoint", "PROGRAM", "instead of the image's ENTRYPOINT"},
    {"env,e", "NAME[=VALUE]", "set an environment variable"},
    {"env-file", "FILE", "read environment variables from a file"},
    {"expose", "PORT", "declare a port without publishing it"},
    {"group-add", "GROUP", "join another group (a name or a number)"},
    {"hostname,h", "NAME", "the container's host name"},
    {"init", nullptr, "run an init inside the container"},
    {"interactive,i", nullptr, "keep stdin open"},
    {"ipc", "MODE", "private, none or host"},
    {"label,l", "KEY[=VALUE]", "set metadata"},
    {"label-file", "FILE", "read labels from a file"},
    {"memory,m", "BYTES", "memory limit"},
    {"memory-reservation", "BYTES", "memory soft limit"},
    {"memory-swap", "BYTES", "limit of memory and swap; -1: unlimited swap"},
    {"mount", "SPEC", "type=bind|volume|tmpfs,source=…,target=…"},
    {"name", "NAME", "the container's name"},
    {"network", "MODE", "bridge, host, none or container:NAME", "bridge"},
    {"net", "MODE", "", "", true},
    {"oom-score-adj", "N", "preference of the kernel's OOM killer", "", false, Value::integer,
     -1000, 1000},
    {"pid", "MODE", "host: share the host's processes"},
    {"pids-limit", "N", "how many processes it may have; -1: any number", "", false, Value::integer,
     -1, 4194304},
    {"platform", "PLATFORM", "the image's platform, linux/arm64 for example"},
    {"privileged", nullptr, "all capabilities and devices, nothing masked"},
    {"publish,p", "PORTS", "[[IP:]HOST:]CONTAINER[/tcp|udp|sctp]"},
    {"publish-all,P", nullptr, "publish all exposed ports on free ports"},
    {"pull", "WHEN", "always, missing or never", "missing"},
    {"quiet,q", nullptr, "no progress of a pull"},
    {"read-only", nullptr, "mount the root file system read-only"},
    {"restart", "POLICY", "only \"no\"", "no"},
    {"rm", nullptr, "remove the container when it exits"},
    {"security-opt", "OPTION", "no-new-privileges, seccomp=unconfined, systempaths=unconfined, …"},
    {"shm-size", "BYTES", "size of /dev/shm"},
    {"stop-signal", "SIGNAL", "what `stop` sends"},
    {"stop-timeout", "SECONDS", "how long `stop` waits; -1: for ever", "", false, Value::integer,
     -1, INT_MAX},
    {"sysctl", "NAME=VALUE", "a kernel parameter of its namespaces"},
    {"tmpfs", "DIR[:OPTIONS]", "mount a tmpfs"},
    {"tty,t", nullptr, "a terminal"},
    {"ulimit", "NAME=SOFT[:HARD]", "a resource limit"},
    {"user,u", "USER[:GROUP]", "who runs the process"},
    {"uts", "MODE", "host: share the host's name"},
    verify_key_option,
    {"volume,v", "[SOURCE:]DIR[:MODE]", "mount a host directory or a volume"},
    {"workdir,w", "DIR", "the working directory"},
};
inline constexpr std::span create_options = std::span(run_options).subspan(2);

// Checks the options, gets the image (pulls it if --pull allows), and makes the container.
Containers::Made make_container(const Arguments& globals, const Arguments& args,
                                const Containers& containers);
