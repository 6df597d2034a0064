// The kernel drops options in silence: a bind has none of a file system's, and a file system that
// is mounted already stays what it is. Such a word is a warning here or, where the kernel tells, an
// error. There are two interfaces, and neither has all of the other: mount(2) makes what it can
// make alone; what is to be changed or looked at afterwards is made detached, for found again by
// its path it might be another. In a user namespace what came from outside is locked, and a bind
// has to keep it. What others are mounted in becomes read-only when all of them are there
// (is_filled_later).
#include "runtime/rootfs/mounts.h"

#include <limits.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "base/copy_tree.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sys.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/cgroup/v1.h"
#include "runtime/rootfs/host_binds.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

namespace {

constexpr unsigned long access_times = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;

// What an option asks of the kernel. Recursive ones ("rro") are mount_setattr's, with its flags.
struct MountOption {
    std::string_view name;
    unsigned long set = 0, clear = 0, propagation = 0;
    uint64_t recursive_set = 0, recursive_clear = 0;
    bool MountRequest::* extension = nullptr;
};
constexpr MountOption mount_options[] = {
    {.name = "async", .clear = MS_SYNCHRONOUS},
    {.name = "atime", .clear = MS_NOATIME},
    {.name = "bind", .set = MS_BIND},
    {.name = "defaults"},
    {.name = "dev", .clear = MS_NODEV},
    {.name = "diratime", .clear = MS_NODIRATIME},
    {.name = "dirsync", .set = MS_DIRSYNC},
    {.name = "exec", .clear = MS_NOEXEC},
    {.name = "idmap", .extension = &MountRequest::idmap},
    {.name = "iversion", .set = MS_I_VERSION},
    {.name = "lazytime", .set = MS_LAZYTIME},
    {.name = "loud", .clear = MS_SILENT},
    {.name = "mand", .set = MS_MANDLOCK},
    {.name = "noatime", .set = MS_NOATIME},
    {.name = "nodev", .set = MS_NODEV},
    {.name = "nodiratime", .set = MS_NODIRATIME},
    {.name = "noexec", .set = MS_NOEXEC},
    {.name = "noiversion", .clear = MS_I_VERSION},
    {.name = "nolazytime", .clear = MS_LAZYTIME},
    {.name = "nomand", .clear = MS_MANDLOCK},
    {.name = "norelatime", .clear = MS_RELATIME},
    {.name = "nostrictatime", .clear = MS_STRICTATIME},
    {.name = "nosuid", .set = MS_NOSUID},
    {.name = "nosymfollow", .set = MS_NOSYMFOLLOW},
    {.name = "private", .propagation = MS_PRIVATE},
    {.name = "ratime", .recursive_clear = MOUNT_ATTR_NOATIME},
    {.name = "rbind", .set = MS_BIND | MS_REC},
    {.name = "rdev", .recursive_clear = MOUNT_ATTR_NODEV},
    {.name = "rdiratime", .recursive_clear = MOUNT_ATTR_NODIRATIME},
    {.name = "relatime", .set = MS_RELATIME},
    {.name = "remount", .set = MS_REMOUNT},
    {.name = "rexec", .recursive_clear = MOUNT_ATTR_NOEXEC},
    {.name = "ridmap", .extension = &MountRequest::recursive_idmap},
    {.name = "rnoatime", .recursive_set = MOUNT_ATTR_NOATIME},
    {.name = "rnodev", .recursive_set = MOUNT_ATTR_NODEV},
    {.name = "rnodiratime", .recursive_set = MOUNT_ATTR_NODIRATIME},
    {.name = "rnoexec", .recursive_set = MOUNT_ATTR_NOEXEC},
    {.name = "rnorelatime", .recursive_clear = MOUNT_ATTR_RELATIME},
    {.name = "rnostrictatime", .recursive_clear = MOUNT_ATTR_STRICTATIME},
    {.name = "rnosuid", .recursive_set = MOUNT_ATTR_NOSUID},
    {.name = "rnosymfollow", .recursive_set = MOUNT_ATTR_NOSYMFOLLOW},
    {.name = "ro", .set = MS_RDONLY},
    {.name = "rprivate", .propagation = MS_PRIVATE | MS_REC},
    {.name = "rrelatime", .recursive_set = MOUNT_ATTR_RELATIME},
    {.name = "rro", .recursive_set = MOUNT_ATTR_RDONLY},
    {.name = "rrw", .recursive_clear = MOUNT_ATTR_RDONLY},
    {.name = "rshared", .propagation = MS_SHARED | MS_REC},
    {.name = "rslave", .propagation = MS_SLAVE | MS_REC},
    {.name = "rstrictatime", .recursive_set = MOUNT_ATTR_STRICTATIME},
    {.name = "rsuid", .recursive_clear = MOUNT_ATTR_NOSUID},
    {.name = "rsymfollow", .recursive_clear = MOUNT_ATTR_NOSYMFOLLOW},
    {.name = "runbindable", .propagation = MS_UNBINDABLE | MS_REC},
    {.name = "rw", .clear = MS_RDONLY},
    {.name = "shared", .propagation = MS_SHARED},
    {.name = "silent", .set = MS_SILENT},
    {.name = "slave", .propagation = MS_SLAVE},
    {.name = "strictatime", .set = MS_STRICTATIME},
    {.name = "suid", .clear = MS_NOSUID},
    {.name = "symfollow", .clear = MS_NOSYMFOLLOW},
    {.name = "sync", .set = MS_SYNCHRONOUS},
    {.name = "tmpcopyup", .extension = &MountRequest::copy_up},
    {.name = "unbindable", .propagation = MS_UNBINDABLE},
};
static_assert(std::ranges::is_sorted(mount_options, {}, &MountOption::name));

// The same wish in mount(2)'s and in mount_setattr(2)'s words.
struct Attribute {
    unsigned long flag;
    uint64_t attribute;
};
constexpr Attribute attributes[] = {
    {MS_RDONLY, MOUNT_ATTR_RDONLY},         {MS_NOSUID, MOUNT_ATTR_NOSUID},
    {MS_NODEV, MOUNT_ATTR_NODEV},           {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
    {MS_NODIRATIME, MOUNT_ATTR_NODIRATIME}, {MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
    {MS_NOATIME, MOUNT_ATTR_NOATIME},       {MS_STRICTATIME, MOUNT_ATTR_STRICTATIME},
};

// What a file system has as a whole, in fsconfig(2)'s words. No bind can change it, and a mount of
// a file system that is mounted already has what that one has. ("silent" is left out: it is said to
// the kernel's log.)
struct SuperFlag {
    unsigned long flag;
    std::string_view word;
};
constexpr SuperFlag super_flags[] = {
    {MS_SYNCHRONOUS, "sync"}, {MS_DIRSYNC, "dirsync"},    {MS_LAZYTIME, "lazytime"},
    {MS_MANDLOCK, "mand"},    {MS_I_VERSION, "iversion"},
};

std::vector<std::string> super_words(unsigned long flags) {
    std::vector<std::string> words;
    for (const SuperFlag& super : super_flags)
        if ((flags & super.flag) != 0) words.emplace_back(super.word);
    return words;
}

// Those of the flags that are a mount's own, and not the file system's.
unsigned long attribute_flags(unsigned long flags) {
    unsigned long own = flags & MS_RELATIME;
    for (const Attribute& a : attributes) own |= flags & a.flag;
    return own;
}

uint64_t attributes_of(unsigned long flags) {
    uint64_t wanted = 0;
    for (const Attribute& a : attributes)
        if ((flags & a.flag) != 0) wanted |= a.attribute;
    return wanted;
}

}  // namespace

MountRequest plan_mount(const std::vector<std::string>& options) {
    MountRequest request;
    for (const std::string& word : options) {
        const auto* option = std::ranges::find(mount_options, word, &MountOption::name);
        if (option == std::end(mount_options)) {
            request.data += (request.data.empty() ? "" : ",") + word;
            continue;
        }
        // One of the three ways to keep access times replaces another.
        if ((option->set & access_times) != 0) request.flags &= ~access_times;
        request.flags = (request.flags | option->set) & ~option->clear;
        request.cleared = (request.cleared | option->clear) & ~option->set;
        if (option->propagation) request.propagation.push_back(option->propagation);
        if ((option->recursive_set & MOUNT_ATTR__ATIME) != 0 || option->name == "rrelatime") {
            request.recursive_set &= ~uint64_t(MOUNT_ATTR__ATIME);
            request.recursive_clear |= MOUNT_ATTR__ATIME;
        }
        // The field of access times is replaced as a whole; the kernel wants all its bits cleared.
        const uint64_t clear = (option->recursive_clear & MOUNT_ATTR__ATIME) != 0
                                   ? option->recursive_clear | MOUNT_ATTR__ATIME
                                   : option->recursive_clear;
        request.recursive_set = (request.recursive_set & ~clear) | option->recursive_set;
        request.recursive_clear =
            (request.recursive_clear & ~(option->recursive_set & ~uint64_t(MOUNT_ATTR__ATIME))) |
            clear;
        if (option->extension) request.*option->extension = true;
    }
    return request;
}

bool is_bind(const spec::Mount& mount) {
    return (plan_mount(mount.options).flags & (MS_BIND | MS_REMOUNT)) == MS_BIND;
}

std::vector<std::string> known_mount_options() {
    std::vector<std::string> names;
    for (const MountOption& option : mount_options) names.emplace_back(option.name);
    return names;
}

unsigned long propagation_flag(std::string_view word) {
    if (word.empty()) return 0;
    const auto* option = std::ranges::find(mount_options, word, &MountOption::name);
    if (option == std::end(mount_options) || !option->propagation)
        throw Error("rootfsPropagation=", word, " is not supported");
    return option->propagation;
}

UniqueFd clone_tree(int fd, bool recursive) {
    const unsigned flags =
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return UniqueFd(int(check(::syscall(SYS_open_tree, fd, "", flags), "open_tree")));
}

void set_mount_attributes(int fd, bool recursive, uint64_t set, uint64_t clear,
                          uint64_t propagation) {
    if (!set && !clear && !propagation) return;
    mount_attr wanted{};
    wanted.attr_set = set, wanted.attr_clr = clear, wanted.propagation = propagation;
    check(::syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0),
                    &wanted, sizeof wanted),
          "mount_setattr");
}

void attach(int tree, int target, std::string_view shown) {
    if (::syscall(SYS_move_mount, tree, "", target, "",
                  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        throw SysError("move_mount to ", shown);
}

UniqueFd make_mount_point(const Root::Place& place, mode_t mode) {
    UniqueFd made(::openat(place.parent.get(), place.name.c_str(),
                           O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, mode));
    if (made) return made;
    if (errno != EEXIST) throw SysError("making ", quoted(place.name), " to mount on");
    UniqueFd there = sys::openat(place.parent.get(), place.name, O_PATH | O_NOFOLLOW);
    if (S_ISLNK(sys::fstat(there.get()).st_mode))
        throw SysError(ELOOP, str("mounting on ", quoted(place.name)));
    return there;
}

std::vector<std::string> split_options(const std::string& options) {
    std::vector<std::string> found(1);
    bool inside = false;
    for (const char c : options) {
        if (c == '"')
            inside = !inside;
        else if (c == ',' && !inside)
            found.emplace_back();
        else
            found.back() += c;
    }
    std::erase(found, "");
    return found;
}

namespace {

UniqueFd open_file_system(const char* type) {
    return UniqueFd(int(check(::syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), "fsopen of ", type)));
}

void set_options(int fs, const char* type, const std::string& options) {
    for (const std::string& option : split_options(options)) {
        const size_t equal = option.find('=');
        const std::string key = option.substr(0, equal);
        const long done =
            equal == std::string::npos
                ? ::syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
                : ::syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key.c_str(),
                            option.c_str() + equal + 1, 0);
        if (done < 0) throw SysError("option ", quoted(option), " of ", type);
    }
}

}  // namespace

UniqueFd make_detached(const char* type, const std::string& options, uint64_t attrs,
                       const std::string& source) {
    const UniqueFd fs = open_file_system(type);
    if (!source.empty())
        check(::syscall(SYS_fsconfig, fs.get(), FSCONFIG_SET_STRING, "source", source.c_str(), 0),
              "source of a ", type);
    set_options(fs.get(), type, options);
    check(::syscall(SYS_fsconfig, fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0),
          "creating a ", type);
    return UniqueFd(
        int(check(::syscall(SYS_fsmount, fs.get(), FSMOUNT_CLOEXEC, attrs), "fsmount of ", type)));
}

namespace {

// The security modules' labels are written through /proc: nothing of the container's may be there
// but a real procfs (CVE-2019-16884), except the files lxcfs is known to shadow.
void check_not_over_proc(std::string_view inside, const spec::Mount& mount, int source) {
    static constexpr std::string_view allowed[] = {
        "/proc/cpuinfo",
        "/proc/diskstats",
        "/proc/meminfo",
        "/proc/stat",
        "/proc/swaps",
        "/proc/uptime",
        "/proc/loadavg",
        "/proc/slabinfo",
        "/proc/net/dev",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/sys/crypto/fips_enabled",
    };
    if (inside == "/proc") {
        struct statfs fs{};
        // The whole of one, and no directory of it.
        if (source >= 0 && ::fstatfs(source, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC &&
            sys::fstat(source).st_ino == 1)
            return;
        if (source < 0 && mount.type == "proc") return;
        throw Error(quoted(mount.destination), " cannot be mounted because it is not of type proc");
    }
    if (inside.starts_with("/proc/") && std::ranges::find(allowed, inside) == std::end(allowed))
        throw Error(quoted(mount.destination), " cannot be mounted because it is inside /proc");
}

// A link that leads to nothing is followed, inside, and what it names is made.
UniqueFd make_target(const Root& root, const std::string& inside, bool directory, int links = 0) {
    if (directory) return root.make_directories(inside);
    if (auto there = root.open_if_exists(inside, O_PATH)) return std::move(*there);
    const Root::Place place = root.make_place(inside);
    char link[PATH_MAX];
    const ssize_t length = ::readlinkat(place.parent.get(), place.name.c_str(), link, sizeof link);
    if (length <= 0 || length == ssize_t(sizeof link)) return make_mount_point(place, 0755);
    if (links == 40) throw SysError(ELOOP, str("mounting on ", quoted(inside)));
    const std::string target(link, size_t(length));
    return make_target(
        root, target.starts_with('/') ? target : inside.substr(0, inside.rfind('/') + 1) + target,
        false, links + 1);
}

// A link would let an image choose what becomes of /proc, through which labels are written and
// which is masked by name (CVE-2023-27561); so none is followed, and what was checked is what is
// mounted on.
UniqueFd make_ordinary_directory(const Root& root, const spec::Mount& mount) {
    open_how how{};
    how.flags = O_PATH | O_NOFOLLOW;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS;
    auto there = sys::try_openat2(root.fd(), mount.destination, how);
    if (!there && there.error() == ENOENT) {
        root.make_directories(mount.destination);
        there = sys::try_openat2(root.fd(), mount.destination, how);
    }
    if (!there || !S_ISDIR(sys::fstat(there->get()).st_mode))
        throw Error("filesystem ", quoted(mount.type), " must be mounted on ordinary directory");
    return std::move(*there);
}

void set_propagation(int tree, const MountRequest& request) {
    for (const unsigned long kind : request.propagation)
        set_mount_attributes(tree, (kind & MS_REC) != 0, 0, 0, kind & ~uint64_t(MS_REC));
}

// Everything that changes a tree which nobody sees yet (or which is remounted).
void finish(int tree, const MountRequest& request) {
    set_propagation(tree, request);
    set_mount_attributes(tree, true, request.recursive_set, request.recursive_clear);
}

// A bind takes nothing that is the file system's, and engines and the OCI's validation programs
// give such options all the same. runc refuses some and drops the others; we go on, and say which.
void warn_of_what_has_no_effect(const spec::Mount& mount, const MountRequest& request) {
    std::vector<std::string> words = super_words(request.flags);
    for (std::string& word : split_options(request.data)) words.push_back(std::move(word));
    if (!words.empty())
        log_warning(str("mounting on ", quoted(mount.destination),
                        ": no effect on what is there already: ", quoted(join(words, ","))));
}

// A bind that names any option has those and no others; only how access times are kept stays,
// unless it names another way ("atime" and "diratime" name none, to runc and mount(8)). One that
// names none is as its source. A user namespace takes nothing from a mount that came from outside:
// that stays, or is an error if it was to go.
void set_bind_options(int tree, const MountRequest& request, bool user_namespace) {
    constexpr unsigned long times = access_times | MS_NODIRATIME;
    unsigned long wanted = attribute_flags(request.flags);
    if (wanted == 0 && request.cleared == 0) return;
    if (user_namespace) {
        struct statfs fs{};
        check(::fstatfs(tree, &fs), "statfs of the source");
        static_assert(int(ST_RDONLY) == MS_RDONLY && int(ST_NOSUID) == MS_NOSUID &&
                      int(ST_NODEV) == MS_NODEV && int(ST_NOEXEC) == MS_NOEXEC &&
                      int(ST_NOATIME) == MS_NOATIME && int(ST_NODIRATIME) == MS_NODIRATIME);
        const auto found = (unsigned long)(fs.f_flags);
        const unsigned long kept = found & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
        unsigned long found_times = found & (MS_NOATIME | MS_NODIRATIME);
        if ((found & ST_RELATIME) != 0) found_times |= MS_RELATIME;
        if ((found_times & access_times) == 0) found_times |= MS_STRICTATIME;
        if ((kept & request.cleared) != 0 ||
            ((wanted & times) != 0 && (wanted & times) != found_times))
            throw SysError(EPERM, std::string("changing what a user namespace has locked"));
        wanted = (wanted & ~times) | kept;
    }
    uint64_t clear = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
                     MOUNT_ATTR_NOSYMFOLLOW;
    if ((wanted & times) != 0) clear |= MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME;
    const uint64_t set = attributes_of(wanted);
    set_mount_attributes(tree, false, set, clear & ~(set & ~uint64_t(MOUNT_ATTR__ATIME)));
}

void bind_into(const Root& root, const spec::Mount& mount, const MountRequest& request,
               const MountEnvironment& environment, UniqueFd tree) {
    warn_of_what_has_no_effect(mount, request);
    const bool directory = S_ISDIR(sys::fstat(tree.get()).st_mode);
    const UniqueFd target = make_target(root, mount.destination, directory);
    check_not_over_proc(path_inside(root, target.get()), mount, tree.get());
    set_bind_options(tree.get(), request, environment.user_namespace);
    finish(tree.get(), request);
    attach(tree.get(), target.get(), quoted(mount.destination));
}

// The options of a file system that SELinux shall give one label. In quotes: it may have commas.
std::string with_label(std::string options, const MountEnvironment& environment) {
    if (environment.mount_label.empty()) return options;
    return str(options, options.empty() ? "" : ",", "context=\"", environment.mount_label, "\"");
}

// mqueue takes no such option, but its root a label.
void label_root(int tree, const std::string& label) {
    const UniqueFd directory = sys::openat(tree, ".", O_RDONLY | O_DIRECTORY);
    check(::fsetxattr(directory.get(), "security.selinux", label.c_str(), label.size() + 1, 0),
          "labelling it ", label);
}

// The host's mount of a hierarchy, from our own cgroup down; none if it is mounted elsewhere or not
// at all.
UniqueFd clone_own_cgroup(const std::string& path, uint64_t set) {
    UniqueFd tree(
        int(::syscall(SYS_open_tree, AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
    if (!tree && errno != ENOENT) throw SysError("open_tree of ", path);
    if (tree) set_mount_attributes(tree.get(), false, set, 0);
    return tree;
}

UniqueFd make_v2(const MountEnvironment& environment, uint64_t set) {
    if (environment.cgroup_namespace) return make_detached("cgroup2", "", set);
    std::string path = sole_v2_mount().value_or("");
    for (const v1::Hierarchy& hierarchy : v1::parse_hierarchies(read_file("/proc/self/cgroup")))
        if (hierarchy.name == "unified") path += hierarchy.own;
    UniqueFd tree = clone_own_cgroup(path, set);
    if (!tree) throw Error("our cgroup ", quoted(path), " is not there");
    return tree;
}

void mount_hierarchy(int top, const v1::Hierarchy& hierarchy, const MountEnvironment& environment,
                     uint64_t set) {
    const std::string& name = hierarchy.name;
    // In a cgroup namespace of its own the path reads "/", but the host's mount shows all: a new
    // mount of the hierarchy shows only the namespace's part.
    const auto host = hierarchy_mount(name);
    if (!host) return;
    UniqueFd tree;
    if (!environment.cgroup_namespace)
        tree = clone_own_cgroup(*host + hierarchy.own, set);
    else if (name == "unified")
        tree = make_detached("cgroup2", "", set);
    else
        tree = make_detached("cgroup", hierarchy.named ? "none,name=" + name : name, set);
    if (!tree) return;
    // By name: nobody but us is in this new file system.
    check(::mkdirat(top, name.c_str(), 0755), "mkdir ", name);
    check(::syscall(SYS_move_mount, tree.get(), "", top, name.c_str(), MOVE_MOUNT_F_EMPTY_PATH),
          "move_mount to ", name);
    // "cpu,cpuacct" is also found as "cpu" and as "cpuacct".
    if (name.contains(','))
        for (const std::string& one : split(name, ','))
            if (::symlinkat(name.c_str(), top, one.c_str()) < 0 && errno != EEXIST)
                throw SysError("symlink ", one);
}

// v1 shows the container its own part of each hierarchy, v2 is a file system of its own.
void mount_cgroups(const Root& root, const spec::Mount& mount, const MountRequest& request,
                   const MountEnvironment& environment) {
    uint64_t set = attributes_of(request.flags);
    // What is bound are the cgroups of whoever runs us, perhaps more than the container's
    // (CVE-2023-25809).
    if (environment.user_namespace && !environment.cgroup_namespace) set |= MOUNT_ATTR_RDONLY;
    warn_of_what_has_no_effect(mount, request);
    const UniqueFd target = make_target(root, mount.destination, true);
    check_not_over_proc(path_inside(root, target.get()), mount, -1);

    const bool v2 = sole_v2_mount().has_value();
    const UniqueFd top = v2 ? make_v2(environment, set)
                            : make_detached("tmpfs", with_label("mode=755", environment),
                                            set & ~uint64_t(MOUNT_ATTR_RDONLY));
    attach(top.get(), target.get(), quoted(mount.destination));
    if (!v2) {
        for (const v1::Hierarchy& hierarchy : v1::parse_hierarchies(read_file("/proc/self/cgroup")))
            mount_hierarchy(top.get(), hierarchy, environment, set);
        set_mount_attributes(top.get(), false, set & MOUNT_ATTR_RDONLY, 0);
    }
    finish(top.get(), request);
}

// A sysfs shows a network namespace and is mounted by who owns that one. A user without one of his
// own gets the host's: all of it, for what lies on top hides something, and read-only, for there
// may be cgroups in it that are the user's (CVE-2023-25809).
void bind_sysfs(const MountRequest& request, int target, std::string_view destination) {
    const UniqueFd host = sys::open("/sys", O_PATH | O_DIRECTORY);
    const UniqueFd tree = clone_tree(host.get(), true);
    set_mount_attributes(tree.get(), true, attributes_of(request.flags) | MOUNT_ATTR_RDONLY, 0);
    finish(tree.get(), request);
    attach(tree.get(), target, quoted(destination));
}

// What a new mount, which has none below it, is to have: an option for the whole tree counts more.
uint64_t attributes_of(const MountRequest& request) {
    return (attributes_of(request.flags) & ~request.recursive_clear) | request.recursive_set;
}

// What other mounts and devices may have to be made in first: what is read-only of it becomes so at
// last.
bool is_filled_later(const spec::Mount& mount, const MountRequest& request) {
    return (attributes_of(request) & MOUNT_ATTR_RDONLY) != 0 &&
           (mount.type == "tmpfs" ||
            std::filesystem::path(mount.destination).lexically_normal() == "/dev");
}

// Whether mount(2) alone does not do: something is to be changed afterwards, or looked at.
bool needs_more_than_mount(const spec::Mount& mount, const MountRequest& request,
                           const MountEnvironment& environment) {
    const bool labels_root = mount.type == "mqueue" && !environment.mount_label.empty();
    // iversion is no word of fsconfig's; mount(2) can say it, and nobody can ask for it.
    return labels_root || is_filled_later(mount, request) || request.copy_up ||
           !request.propagation.empty() || request.recursive_set || request.recursive_clear ||
           !super_words(request.flags & ~(unsigned long)(MS_I_VERSION)).empty();
}

// mount(2) says EINVAL of all options together; the file system itself, asked for one after the
// other, names the wrong one.
void name_refused_option(const std::string& type, const std::string& data) {
    const UniqueFd fs(int(::syscall(SYS_fsopen, type.c_str(), FSOPEN_CLOEXEC)));
    if (fs) set_options(fs.get(), type.c_str(), data);
}

void mount_at(const spec::Mount& mount, const MountRequest& request,
              const MountEnvironment& environment, int target, const std::string& data) {
    if (::mount(mount.source.c_str(), sys::proc_fd(target).c_str(), mount.type.c_str(),
                request.flags, data.empty() ? nullptr : data.c_str()) == 0)
        return;
    const int error = errno;
    if (error == EPERM && mount.type == "sysfs")
        return bind_sysfs(request, target, mount.destination);
    if (error == EPERM && mount.type == "proc" && environment.user_namespace)
        throw Error("mount proc: operation not permitted; in a user namespace the kernel allows it "
                    "only with a new pid namespace, "
                    "and where the /proc that is there already is not covered in parts (as it is "
                    "in most containers)");
    if (error == EINVAL) name_refused_option(mount.type, data);
    throw SysError(error, str("mount ", mount.type, data.empty() ? "" : " with ",
                              data.empty() ? "" : quoted(data)));
}

// statmount(2), of Linux 6.8, which Debian 12's headers do not have.
constexpr long statmount_call = 457;
struct StatmountRequest {
    uint32_t size = sizeof(StatmountRequest), spare = 0;
    uint64_t mount = 0, mask = 1;  // what holds for the file system as a whole
};
struct StatmountAnswer {
    uint32_t size, options;
    uint64_t mask;
    uint32_t major, minor;
    uint64_t magic;
    uint32_t flags;  // SB_…, which are the MS_…
    uint32_t rest[119];
};
static_assert(sizeof(StatmountAnswer) == 512 && offsetof(StatmountAnswer, flags) == 32);

// What the file system has now, and which of the flags the kernel tells at all.
struct SuperFlagsThere {
    unsigned long flags, told;
};
SuperFlagsThere super_flags_there(int top) {
    struct statfs fs{};
    check(::fstatfs(top, &fs), "statfs");
    static_assert(int(ST_SYNCHRONOUS) == MS_SYNCHRONOUS && int(ST_MANDLOCK) == MS_MANDLOCK);
    SuperFlagsThere there{(unsigned long)(fs.f_flags), MS_SYNCHRONOUS | MS_MANDLOCK};
    constexpr unsigned unique_mount_id = 0x4000;  // STATX_MNT_ID_UNIQUE
    struct statx info{};
    if (::statx(top, "", AT_EMPTY_PATH, unique_mount_id, &info) < 0 ||
        (info.stx_mask & unique_mount_id) == 0)
        return there;
    const StatmountRequest request{.mount = info.stx_mnt_id};
    StatmountAnswer answer{};
    if (::syscall(statmount_call, &request, &answer, sizeof answer, 0) < 0) return there;
    constexpr unsigned long more = MS_DIRSYNC | MS_LAZYTIME;
    return {(there.flags & ~more) | (answer.flags & more), there.told | more};
}

// A file system that is mounted already stays what it is, and the kernel says nothing.
void check_super_flags(int top, unsigned long wanted) {
    if (super_words(wanted).empty()) return;
    const SuperFlagsThere there = super_flags_there(top);
    const auto missing = super_words(wanted & there.told & ~there.flags);
    if (!missing.empty())
        throw Error("option ", quoted(missing[0]),
                    " has no effect: the file system is mounted already without it");
}

// Gives the new file system if it has to become read-only at last.
UniqueFd mount_file_system(const Root& root, const spec::Mount& mount, const MountRequest& request,
                           const MountEnvironment& environment) {
    const bool kernels = mount.type == "proc" || mount.type == "sysfs";
    // A tmpfs over a directory keeps that directory's mode, unless told otherwise.
    const bool keeps_mode = mount.type == "tmpfs" && !request.data.contains("mode=") &&
                            root.open_if_exists(mount.destination, O_PATH);
    const UniqueFd target =
        kernels ? make_ordinary_directory(root, mount) : make_target(root, mount.destination, true);
    check_not_over_proc(path_inside(root, target.get()), mount, -1);

    const bool labels_root = mount.type == "mqueue" && !environment.mount_label.empty();
    std::string data =
        kernels || mount.type == "mqueue" ? request.data : with_label(request.data, environment);
    if (keeps_mode) {
        const mode_t mode = sys::fstat(target.get()).st_mode & 07777;
        char octal[16];
        std::snprintf(octal, sizeof octal, "mode=%o", mode);
        data += str(data.empty() ? "" : ",", octal);
    }
    if (!needs_more_than_mount(mount, request, environment)) {
        mount_at(mount, request, environment, target.get(), data);
        return {};
    }
    // What has to be changed or looked at afterwards is made where nobody sees it: found again by
    // its path, it might be another.
    const bool later = is_filled_later(mount, request);
    const uint64_t wanted = attributes_of(request);
    std::vector<std::string> whole = super_words(request.flags);
    if ((wanted & MOUNT_ATTR_RDONLY) != 0 && !later) whole.emplace_back("ro");
    if (!data.empty()) whole.push_back(data);
    UniqueFd top =
        make_detached(mount.type.c_str(), join(whole, ","),
                      later ? wanted & ~uint64_t(MOUNT_ATTR_RDONLY) : wanted, mount.source);
    if (request.copy_up) copy_tree(target.get(), top.get(), Likeness::plain);
    if (labels_root) label_root(top.get(), environment.mount_label);
    set_propagation(top.get(), request);
    attach(top.get(), target.get(), quoted(mount.destination));
    check_super_flags(top.get(), request.flags);
    return later ? std::move(top) : UniqueFd{};
}

void remount(const Root& root, const spec::Mount& mount, const MountRequest& request) {
    if (request.copy_up) throw Error("tmpcopyup needs a new tmpfs");
    if ((request.flags & MS_BIND) != 0)
        warn_of_what_has_no_effect(mount, request);  // the mount alone is changed
    const UniqueFd target = root.open(mount.destination, O_PATH);
    check_not_over_proc(path_inside(root, target.get()), mount, target.get());
    check(::mount(nullptr, sys::proc_fd(target.get()).c_str(), nullptr, request.flags,
                  request.data.empty() ? nullptr : request.data.c_str()),
          "remount");
    finish(target.get(), request);
    if ((request.flags & MS_BIND) == 0) check_super_flags(target.get(), request.flags);
}

}  // namespace

std::string path_inside(const Root& root, int fd) {
    char own[4096], base[4096];
    const ssize_t n = ::readlink(sys::proc_fd(fd).c_str(), own, sizeof own);
    const ssize_t m = ::readlink(sys::proc_fd(root.fd()).c_str(), base, sizeof base);
    if (n <= 0 || m <= 0 || n >= ssize_t(sizeof own) || m >= ssize_t(sizeof base))
        throw SysError("readlink of a mount's destination");
    std::string_view path(own, size_t(n)), prefix(base, size_t(m));
    if (prefix == "/") return std::string(path);
    if (!path.starts_with(prefix))
        throw Error("a mount's destination ", quoted(path), " is outside of the root file system");
    path.remove_prefix(prefix.size());
    return path.empty() ? "/" : std::string(path);
}

UniqueFd open_source(const spec::Mount& mount, const std::string& bundle) {
    return sys::open(mount.source.starts_with('/') ? mount.source : bundle + "/" + mount.source,
                     O_PATH);
}

UniqueFd mount_into(const Root& root, const spec::Mount& mount, const MountEnvironment& environment,
                    UniqueFd mapped) {
    const MountRequest request = plan_mount(mount.options);
    if (request.copy_up && mount.type != "tmpfs") throw Error("tmpcopyup needs a tmpfs");
    if ((request.flags & MS_REMOUNT) != 0) {
        remount(root, mount, request);
    } else if (mapped) {
        bind_into(root, mount, request, environment, std::move(mapped));
    } else if ((request.flags & MS_BIND) != 0) {
        bind_into(root, mount, request, environment,
                  clone_tree(open_source(mount, environment.bundle).get(),
                             (request.flags & MS_REC) != 0));
    } else if (mount.type == "cgroup" || mount.type == "cgroup2") {
        mount_cgroups(root, mount, request, environment);
    } else {
        return mount_file_system(root, mount, request, environment);
    }
    return {};
}

std::string mounting(const spec::Mount& mount) {
    return str("error mounting ", quoted(mount.source), " to rootfs at ",
               quoted(mount.destination));
}

std::vector<UniqueFd> mount_all(const Root& root, const std::vector<spec::Mount>& mounts,
                                const MountEnvironment& environment, std::vector<UniqueFd> mapped) {
    std::vector<UniqueFd> later;
    auto next = mapped.begin();
    for (const spec::Mount& mount : mounts) {
        UniqueFd tree = context(mounting(mount), [&] {
            return mount_into(root, mount, environment,
                              host_makes(mount, environment.host_binds) ? std::move(*next++)
                                                                        : UniqueFd{});
        });
        if (tree) later.push_back(std::move(tree));
    }
    return later;
}

void make_read_only(const std::vector<UniqueFd>& trees) {
    for (const UniqueFd& tree : trees)
        set_mount_attributes(tree.get(), false, MOUNT_ATTR_RDONLY, 0);
}
