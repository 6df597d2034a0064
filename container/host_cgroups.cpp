#include "container/host_cgroups.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include "base/file.h"
#include "base/text.h"

static const std::string mounted_at = "/sys/fs/cgroup";

bool host_has_cgroup_v2() {
    struct statfs info{};
    return ::statfs(mounted_at.c_str(), &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC;
}

bool was_out_of_memory(const std::string& group) {
    const std::string file = host_has_cgroup_v2()
                                 ? mounted_at + group + "/memory.events"
                                 : mounted_at + "/memory" + group + "/memory.oom_control";
    for (const std::string& line : split(read_file_if_exists(file).value_or(""), '\n'))
        if (line.starts_with("oom_kill ")) return line != "oom_kill 0";
    return false;
}
