#include "runtime/seccomp/arguments.h"

#include <linux/audit.h>

#include <algorithm>

namespace {

struct Row {
    std::string_view call;
    std::string_view read;   // of each argument: i is an int (32 bits), m a mode (16), . a whole register
};
// As the kernel declares its calls; a test compares it with what the running one says of itself
// (tracefs, events/syscalls). What is not here has whole registers only. clone's flags, ptrace's pid and
// the descriptors of mmap, readv and its like are declared long, and cut to an int within.
constexpr Row rows[] = {
    {"accept", "i"}, {"accept4", "i..i"}, {"access", ".i"}, {"add_key", "....i"}, {"alarm", "i"},
    {"arch_prctl", "i"}, {"bind", "i.i"}, {"bpf", "i.i"}, {"cachestat", "i..i"}, {"chmod", ".m"},
    {"chown", ".ii"}, {"clock_adjtime", "i"}, {"clock_getres", "i"}, {"clock_gettime", "i"},
    {"clock_nanosleep", "ii"}, {"clock_settime", "i"}, {"clone", "i"}, {"close", "i"},
    {"close_range", "iii"}, {"connect", "i.i"}, {"copy_file_range", "i.i..i"}, {"creat", ".m"},
    {"delete_module", ".i"}, {"dup", "i"}, {"dup2", "ii"}, {"dup3", "iii"}, {"epoll_create", "i"},
    {"epoll_create1", "i"}, {"epoll_ctl", "iii"}, {"epoll_pwait", "i.ii"}, {"epoll_pwait2", "i.i"},
    {"epoll_wait", "i.ii"}, {"eventfd", "i"}, {"eventfd2", "ii"}, {"execveat", "i...i"},
    {"exit", "i"}, {"exit_group", "i"}, {"faccessat", "i.i"}, {"faccessat2", "i.ii"},
    {"fadvise64", "i..i"}, {"fallocate", "ii"}, {"fanotify_init", "ii"}, {"fanotify_mark", "ii.i"},
    {"fchdir", "i"}, {"fchmod", "im"}, {"fchmodat", "i.m"}, {"fchmodat2", "i.mi"},
    {"fchown", "iii"}, {"fchownat", "i.iii"}, {"fchroot", "ii"}, {"fcntl", "ii"},
    {"fdatasync", "i"}, {"fgetxattr", "i"}, {"file_getattr", "i...i"}, {"file_setattr", "i...i"},
    {"finit_module", "i.i"}, {"flistxattr", "i"}, {"flock", "ii"}, {"fremovexattr", "i"},
    {"fsconfig", "ii..i"}, {"fsetxattr", "i...i"}, {"fsmount", "iii"}, {"fsopen", ".i"},
    {"fspick", "i.i"}, {"fstat", "i"}, {"fstatfs", "i"}, {"fsync", "i"}, {"ftruncate", "i"},
    {"futex", ".ii..i"}, {"futex_requeue", ".iii"}, {"futex_wait", "...i.i"},
    {"futex_waitv", ".ii.i"}, {"futex_wake", "..ii"}, {"futimesat", "i"}, {"get_robust_list", "i"},
    {"getdents", "i.i"}, {"getdents64", "i.i"}, {"getgroups", "i"}, {"getitimer", "i"},
    {"getpeername", "i"}, {"getpgid", "i"}, {"getpriority", "ii"}, {"getrandom", "..i"},
    {"getrlimit", "i"}, {"getrusage", "i"}, {"getsid", "i"}, {"getsockname", "i"},
    {"getsockopt", "iii"}, {"getxattrat", "i.i"}, {"inotify_add_watch", "i.i"},
    {"inotify_init1", "i"}, {"inotify_rm_watch", "ii"}, {"io_setup", "i"},
    {"io_uring_enter", "iiii"}, {"io_uring_register", "ii.i"}, {"io_uring_setup", "i"},
    {"ioctl", "ii"}, {"ioperm", "..i"}, {"iopl", "i"}, {"ioprio_get", "ii"}, {"ioprio_set", "iii"},
    {"ipc", "mi"}, {"kcmp", "iii"}, {"kexec_file_load", "ii"}, {"keyctl", "i"}, {"kill", "ii"},
    {"landlock_add_rule", "ii.i"}, {"landlock_create_ruleset", "..i"},
    {"landlock_restrict_self", "ii"}, {"lchown", ".ii"}, {"linkat", "i.i.i"}, {"listen", "ii"},
    {"listmount", "...i"}, {"listns", "...i"}, {"listxattrat", "i.i"}, {"lseek", "i.i"},
    {"lsetxattr", "....i"}, {"lsm_get_self_attr", "i..i"}, {"lsm_list_modules", "..i"},
    {"lsm_set_self_attr", "i.ii"}, {"madvise", "..i"}, {"mbind", ".....i"}, {"membarrier", "iii"},
    {"memfd_create", ".i"}, {"memfd_secret", "i"}, {"migrate_pages", "i"}, {"mkdir", ".m"},
    {"mkdirat", "i.m"}, {"mknod", ".mi"}, {"mknodat", "i.mi"}, {"mlock2", "..i"}, {"mlockall", "i"},
    {"mmap", "....i"}, {"modify_ldt", "i"}, {"mount_setattr", "i.i"}, {"move_mount", "i.i.i"},
    {"move_pages", "i....i"}, {"mq_getsetattr", "i"}, {"mq_notify", "i"}, {"mq_open", ".im"},
    {"mq_timedreceive", "i"}, {"mq_timedsend", "i..i"}, {"msgctl", "ii"}, {"msgget", "ii"},
    {"msgrcv", "i...i"}, {"msgsnd", "i..i"}, {"msync", "..i"}, {"name_to_handle_at", "i...i"},
    {"newfstatat", "i..i"}, {"nice", "i"}, {"open", ".im"}, {"open_by_handle_at", "i.i"},
    {"open_tree", "i.i"}, {"open_tree_attr", "i.i"}, {"openat", "i.im"}, {"openat2", "i"},
    {"perf_event_open", ".iii"}, {"personality", "i"}, {"pidfd_getfd", "iii"}, {"pidfd_open", "ii"},
    {"pidfd_send_signal", "ii.i"}, {"pipe2", ".i"}, {"pkey_free", "i"}, {"pkey_mprotect", "...i"},
    {"poll", ".ii"}, {"ppoll", ".i"}, {"prctl", "i"}, {"pread64", "i"}, {"preadv", "i"},
    {"preadv2", "i....i"}, {"prlimit64", "ii"}, {"process_madvise", "i..ii"},
    {"process_mrelease", "ii"}, {"process_vm_readv", "i"}, {"process_vm_writev", "i"},
    {"pselect6", "i"}, {"ptrace", ".i"}, {"pwrite64", "i"}, {"pwritev", "i"},
    {"pwritev2", "i....i"}, {"quotactl", "i.i"}, {"quotactl_fd", "iii"}, {"read", "i"},
    {"readahead", "i"}, {"readlink", "..i"}, {"readlinkat", "i..i"}, {"readv", "i"},
    {"reboot", "iii"}, {"recv", "i..i"}, {"recvfrom", "i..i"}, {"recvmmsg", "i.ii"},
    {"recvmsg", "i.i"}, {"removexattrat", "i.i"}, {"renameat", "i.i"}, {"renameat2", "i.i.i"},
    {"request_key", "...i"}, {"rseq", ".iii"}, {"rt_sigaction", "i"}, {"rt_sigprocmask", "i"},
    {"rt_sigqueueinfo", "ii"}, {"rt_tgsigqueueinfo", "iii"}, {"sched_get_priority_max", "i"},
    {"sched_get_priority_min", "i"}, {"sched_getaffinity", "ii"}, {"sched_getattr", "i.ii"},
    {"sched_getparam", "i"}, {"sched_getscheduler", "i"}, {"sched_rr_get_interval", "i"},
    {"sched_setaffinity", "ii"}, {"sched_setattr", "i.i"}, {"sched_setparam", "i"},
    {"sched_setscheduler", "ii"}, {"seccomp", "ii"}, {"select", "i"}, {"semctl", "iii"},
    {"semget", "iii"}, {"semop", "i.i"}, {"semtimedop", "i.i"}, {"send", "i..i"},
    {"sendfile", "ii"}, {"sendmmsg", "i.ii"}, {"sendmsg", "i.i"}, {"sendto", "i..i.i"},
    {"set_mempolicy", "i"}, {"setdomainname", ".i"}, {"setfsgid", "i"}, {"setfsuid", "i"},
    {"setgid", "i"}, {"setgroups", "i"}, {"sethostname", ".i"}, {"setitimer", "i"}, {"setns", "ii"},
    {"setpgid", "ii"}, {"setpriority", "iii"}, {"setregid", "ii"}, {"setresgid", "iii"},
    {"setresuid", "iii"}, {"setreuid", "ii"}, {"setrlimit", "i"}, {"setsockopt", "iii.i"},
    {"setuid", "i"}, {"setxattr", "....i"}, {"setxattrat", "i.i"}, {"shmat", "i.i"},
    {"shmctl", "ii"}, {"shmget", "i.i"}, {"shutdown", "ii"}, {"signal", "i"}, {"signalfd", "i"},
    {"signalfd4", "i..i"}, {"socket", "iii"}, {"socketcall", "i"}, {"socketpair", "iii"},
    {"splice", "i.i..i"}, {"statmount", "...i"}, {"statx", "i.ii"}, {"swapon", ".i"},
    {"symlinkat", ".i"}, {"sync_file_range", "i..i"}, {"sync_file_range2", "ii"}, {"syncfs", "i"},
    {"sysfs", "i"}, {"syslog", "i.i"}, {"tee", "ii.i"}, {"tgkill", "iii"}, {"timer_create", "i"},
    {"timer_delete", "i"}, {"timer_getoverrun", "i"}, {"timer_gettime", "i"},
    {"timer_settime", "ii"}, {"timerfd_create", "ii"}, {"timerfd_gettime", "i"},
    {"timerfd_settime", "ii"}, {"tkill", "ii"}, {"umask", "i"}, {"umount2", ".i"},
    {"unlinkat", "i.i"}, {"userfaultfd", "i"}, {"ustat", "i"}, {"utimensat", "i..i"},
    {"vmsplice", "i..i"}, {"wait4", "i.i"}, {"waitid", "ii.i"}, {"waitpid", "i.i"}, {"write", "i"},
    {"writev", "i"},
};
static_assert(std::ranges::is_sorted(rows, {}, &Row::call));

uint8_t bits_of(char letter) { return letter == 'i' ? 32 : letter == 'm' ? 16 : 64; }

}  // namespace

ArgumentBits bits_read(std::string_view call, uint32_t token) {
    ArgumentBits bits;
    bits.fill(64);
    // There the stack comes first, and then the flags.
    if (call == "clone" && (token == AUDIT_ARCH_S390X || token == AUDIT_ARCH_S390)) bits[1] = 32;
    else if (const auto* row = std::ranges::lower_bound(rows, call, {}, &Row::call); row != std::end(rows) && row->call == call)
        std::ranges::transform(row->read, bits.begin(), bits_of);
    return bits;
}
