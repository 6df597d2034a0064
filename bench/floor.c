// The physical limit of a container start on the kernel it runs on: the namespaces, mounts, nodes
// and masks of the default bundle, and nothing else: nothing is parsed, checked, stored, logged or
// undone by hand. What a runtime takes beyond this is its own.
//
// usage: floor ROOTFS PROGRAM [ARGUMENT…]     (root; ROOTFS has /dev /proc /sys and is not changed)
// FLOOR_CGROUP=NAME in the environment: makes, joins and removes a cgroup NAME in each hierarchy
// too.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void need(long result, const char* what) {
    if (result >= 0) return;
    perror(what);
    _exit(125);
}

static const struct {
    const char *type, *at;
    unsigned long flags;
    const char* data;
} mounts[] = {
    {"proc", "proc", 0, NULL},
    {"tmpfs", "dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"},
    {"devpts", "dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
    {"tmpfs", "dev/shm", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k"},
    {"mqueue", "dev/mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL},
    {"sysfs", "sys", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL},
};
static const struct {
    const char* name;
    int major, minor;
} nodes[] = {
    {"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
    {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
};
static const char* const links[][2] = {
    {"/proc/self/fd", "dev/fd"},       {"/proc/self/fd/0", "dev/stdin"},
    {"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"},
    {"pts/ptmx", "dev/ptmx"},
};
static const char* const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                        "/proc/sysrq-trigger"};
static const char* const hidden_files[] = {"/proc/kcore",         "/proc/keys",
                                           "/proc/latency_stats", "/proc/timer_list",
                                           "/proc/timer_stats",   "/proc/sched_debug"};
static const char* const hidden_dirs[] = {"/proc/acpi", "/proc/scsi", "/sys/firmware"};
#define COUNT(table) (sizeof(table) / sizeof *(table))

static char groups[16][128];
static int group_count;

// A new cpuset of v1 is empty, and nobody can enter it, until it is told its parent's.
static void inherit(const char* group, const char* file) {
    char path[256], value[256];
    snprintf(path, sizeof path, "%s/../%s", group, file);
    const int parent = open(path, O_RDONLY);
    const ssize_t length = read(parent, value, sizeof value);
    close(parent);
    snprintf(path, sizeof path, "%s/%s", group, file);
    const int own = open(path, O_WRONLY);
    need(write(own, value, length > 0 ? (size_t)length : 0), path);
    close(own);
}

static void make_groups(const char* name) {
    static const char* const hierarchies[] = {
        "",         "/blkio",   "/cpu",    "/cpuacct", "/cpuset",  "/devices",
        "/freezer", "/hugetlb", "/memory", "/pids",    "/systemd", "/unified",
    };
    for (size_t i = 0; i < COUNT(hierarchies); i++) {
        char procs[128];
        snprintf(procs, sizeof procs, "/sys/fs/cgroup%s/cgroup.procs", hierarchies[i]);
        if (access(procs, W_OK)) continue;
        char* group = groups[group_count];
        snprintf(group, sizeof *groups, "/sys/fs/cgroup%s/%s", hierarchies[i], name);
        if (mkdir(group, 0755)) continue;  // "cpu" and "cpuacct" may be one
        if (!strcmp(hierarchies[i], "/cpuset"))
            inherit(group, "cpuset.cpus"), inherit(group, "cpuset.mems");
        group_count++;
    }
}

// A thread that moves itself through v1's `tasks` waits for nobody; v2 has only cgroup.procs.
static void join_groups(void) {
    for (int i = 0; i < group_count; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/tasks", groups[i]);
        int file = open(path, O_WRONLY);
        if (file < 0) {
            snprintf(path, sizeof path, "%s/cgroup.procs", groups[i]);
            file = open(path, O_WRONLY);
        }
        need(write(file, "0", 1), path);
        close(file);
    }
}

static void become_container(char** argv) {
    join_groups();
    need(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "slave");
    need(mount(argv[1], argv[1], NULL, MS_BIND | MS_REC, NULL), argv[1]);
    need(chdir(argv[1]), argv[1]);
    for (size_t i = 0; i < COUNT(mounts); i++) {
        mkdir(mounts[i].at, 0755);
        need(mount(mounts[i].type, mounts[i].at, mounts[i].type, mounts[i].flags, mounts[i].data),
             mounts[i].at);
    }
    for (size_t i = 0; i < COUNT(nodes); i++) {
        char path[32];
        snprintf(path, sizeof path, "dev/%s", nodes[i].name);
        need(mknod(path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), path);
    }
    for (size_t i = 0; i < COUNT(links); i++) need(symlink(links[i][0], links[i][1]), links[i][1]);
    need(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    need(umount2(".", MNT_DETACH), "umount");
    need(chdir("/"), "chdir");
    for (size_t i = 0; i < COUNT(read_only); i++) {  // not every kernel has every file
        mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL);
        mount(NULL, read_only[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
    }
    for (size_t i = 0; i < COUNT(hidden_files); i++)
        mount("/dev/null", hidden_files[i], NULL, MS_BIND, NULL);
    for (size_t i = 0; i < COUNT(hidden_dirs); i++)
        mount("tmpfs", hidden_dirs[i], "tmpfs", MS_RDONLY, NULL);
    need(mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), "read-only root");
    need(sethostname("floor", 5), "hostname");
    execv(argv[2], argv + 2);
    perror(argv[2]);
    _exit(127);
}

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    const char* group = getenv("FLOOR_CGROUP");
    if (group) make_groups(group);
    const unsigned long flags =
        CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;
    const long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    need(pid, "clone");
    if (pid == 0) become_container(argv);
    int status;
    need(waitpid((pid_t)pid, &status, 0), "wait");
    for (int i = 0; i < group_count; i++) rmdir(groups[i]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
