// Words of config.json become paths here, in a root that others made. chdir may lead through an
// open descriptor to a directory of the host's, which glibc's getcwd would not tell: so the kernel
// is asked. It is tried as root and, if that fails, as the user, each of whom may go where the
// other may not. A seccomp filter that is in force already may not know faccessat2, whose EPERM is
// then not the file's. Where the filter comes depends on no_new_privs: without it, loading takes a
// capability.
#include "runtime/start/program.h"

#include <link.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/error.h"
#include "base/regular_file.h"
#include "base/sys.h"
#include "runtime/process/attributes.h"
#include "runtime/process/passage.h"
#include "runtime/process/raw_call.h"
#include "runtime/seccomp/agent.h"

std::vector<std::string> unique_environment(const std::vector<std::string>& env) {
    std::vector<std::string> kept;
    std::unordered_map<std::string_view, size_t> places;  // of the names in `kept`
    for (const std::string& entry : env) {
        if (!entry.contains('='))
            throw Error("invalid environment variable: missing '=' in ", quoted(entry));
        if (entry.starts_with('='))
            throw Error("invalid environment variable: name cannot be empty in ", quoted(entry));
        const auto [place, is_new] =
            places.try_emplace(std::string_view(entry).substr(0, entry.find('=')), kept.size());
        if (is_new)
            kept.push_back(entry);
        else
            kept[place->second] = entry;
    }
    return kept;
}

std::string home_of(const Root& root, const Procfs& procfs, uint32_t uid) {
    const auto passwd = root.open_if_exists("/etc/passwd", O_PATH);
    if (!passwd) return "/";
    require_regular(passwd->get(), "/etc/passwd");
    for (const std::string& line : split(
             sys::read_all(procfs.reopen(passwd->get(), O_RDONLY | O_NONBLOCK, "/etc/passwd").get(),
                           8 << 20),
             '\n')) {
        const std::vector<std::string> fields = split(line, ':');
        if (fields.size() >= 6 && parse_number<uint32_t>(fields[2]) == uid)
            return fields[5].empty() ? "/" : fields[5];
    }
    return "/";
}

void set_home(std::vector<std::string>& env, const Root& root, const Procfs& procfs, uint32_t uid) {
    const auto given =
        std::ranges::find_if(env, [](const std::string& e) { return e.starts_with("HOME="); });
    if (given != env.end() && *given != "HOME=") return;
    std::string home = "/";
    attempt("looking for the user's home", [&] { home = home_of(root, procfs, uid); });
    if (given != env.end())
        *given = "HOME=" + home;
    else
        env.push_back("HOME=" + home);
}

void make_working_directory(const Root& root, const std::string& cwd) {
    if (root.open_if_exists(cwd, O_PATH)) return;
    // On a read-only root this fails, and the chdir below says what is missing.
    try {
        root.make_directories(cwd);
    } catch (const SysError&) {
    }
}

bool try_change_directory(const std::string& cwd) {
    if (::chdir(cwd.c_str()) < 0) return false;
    // glibc's getcwd hides what the kernel says: "(unreachable)/…" for a directory outside of the
    // root.
    char where[4096];
    const long length = ::syscall(SYS_getcwd, where, sizeof where);
    // Nothing is reached through a directory that was removed, whoever it belonged to.
    if (length < 0 && errno == ENOENT)
        throw SysError(ENOENT, str("chdir to cwd (", quoted(cwd), ") set in config.json failed"));
    if (length <= 0 || where[0] != '/')
        throw Error("current working directory is outside of container mount namespace root -- "
                    "possible container breakout detected");
    return true;
}

void change_directory(const std::string& cwd) {
    if (!try_change_directory(cwd))
        throw SysError("chdir to cwd (", quoted(cwd), ") set in config.json failed");
}

namespace {

// 0, or why the program cannot be executed by this user.
int problem_with(const std::string& path, bool& directory) {
    struct stat info{};
    if (::stat(path.c_str(), &info) < 0) return errno;
    directory = S_ISDIR(info.st_mode);
    if (directory) return EACCES;
    if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0) return 0;
    // EPERM is the word of a seccomp filter that is older than faccessat2, not the file's.
    if (errno == EPERM) return (info.st_mode & 0111) != 0 ? 0 : EACCES;
    return errno;
}

}  // namespace

void reopen_null(const Procfs& procfs) {
    const dev_t null = makedev(1, 3);
    const auto is_null = [null](int fd) {
        struct stat info{};
        return ::fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == null;
    };
    const auto place = sys::try_open("/dev/null", O_PATH | O_NOFOLLOW);
    if (!place || !is_null(place->get()) || std::ranges::none_of(std::array{0, 1, 2}, is_null))
        return;
    const UniqueFd own = procfs.reopen(place->get(), O_RDWR, "/dev/null");
    for (int fd = 0; fd < 3; ++fd)
        if (is_null(fd)) check(::dup3(own.get(), fd, 0), "dup of /dev/null");
}

void give_streams_to(uint32_t uid) {
    for (int fd = 0; fd < 3; ++fd) {
        struct stat info{};
        if (::fstat(fd, &info) < 0 || info.st_uid == uid) continue;
        const bool is_written =
            S_ISREG(info.st_mode) && (::fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY;
        if (!is_written && !S_ISFIFO(info.st_mode)) continue;
        // Its owner may have no number in a user namespace.
        if (::fchown(fd, uid, gid_t(-1)) < 0 && errno != EPERM && errno != EINVAL && errno != EROFS)
            throw SysError("chown of descriptor ", fd);
    }
}

std::string find_executable(const spec::Process& process) {
    const std::string& name = process.args.at(0);
    bool directory = false;
    if (name.contains('/')) {
        const int why = problem_with(name, directory);
        if (!why) return name;
        if (directory) throw Error("exec: ", quoted(name), ": is a directory");
        if (why == ENOENT || why == ENOTDIR)
            throw Error("exec: ", quoted(name), ": stat ", name, ": ", errno_text(why));
        throw Error("exec: ", quoted(name), ": ", errno_text(why));
    }
    std::string search;
    for (const std::string& entry : process.env)
        if (entry.starts_with("PATH=")) search = entry.substr(5);
    bool denied = false;
    for (const std::string& dir : split(search, ':')) {
        if (search.empty() || name.empty()) break;
        const std::string path = (dir.empty() ? "." : dir) + "/" + name;
        const int why = problem_with(path, directory);
        if (!why) return path;
        if (why == EACCES && !directory) denied = true;
    }
    if (denied) throw Error("exec: ", quoted(name), ": permission denied");
    throw Error("exec: ", quoted(name), ": executable file not found in $PATH");
}

Terminal give_terminal(const spec::Process& process, const Root& root, Channel& channel) {
    const UniqueFd pts = root.open("/dev/pts", O_PATH | O_DIRECTORY);
    Terminal terminal = open_terminal(pts.get(), process.console_size);
    const int master[] = {terminal.master.get()};
    channel.send(Step::console, terminal.name, master);
    terminal.master.reset();
    check(::fchown(terminal.slave.get(), process.user.uid, gid_t(-1)), "chown of the terminal");
    return terminal;
}

void set_attributes(const spec::Process& process, const spec::Linux& container) {
    context("process.scheduler", [&] { set_scheduler(process.scheduler, container); });
    context("process.ioPriority", [&] { set_io_priority(process.io_priority); });
    context("linux.personality", [&] { set_personality(container.personality); });
    context("linux.memoryPolicy", [&] { set_memory_policy(container.memory_policy); });
}

void require_descriptors(int first, int64_t count) {
    for (int i = 0; i < count; ++i) {
        const int flags = ::fcntl(first + i, F_GETFD);
        if (flags < 0 || (flags & FD_CLOEXEC) != 0)
            throw SysError(EBADF, str("unable to stat preserved-fd ", i));
    }
}

void close_from(int first, const std::vector<int>& but) {
    // Closed now and not by the exec: what is open here can be reached as /proc/self/fd/N while the
    // kernel resolves the working directory and the program (CVE-2024-21626).
    sys::close_from(first, but);
    for (const int kept : but)
        if (kept >= first) ::fcntl(kept, F_SETFD, FD_CLOEXEC);
    // Those below are given on purpose, whatever flag they came with.
    for (int fd = 3; fd < first; ++fd) ::fcntl(fd, F_SETFD, 0);
}

// Without no_new_privs a filter needs CAP_SYS_ADMIN, so it comes before the capabilities go. With
// it, last of all: what it forbids has been done by then.
std::string become_program(const spec::Process& process, const CapabilityPlan& capabilities,
                           const std::optional<Filter>& filter, Channel& channel) {
    const bool arrived = try_change_directory(process.cwd);  // as root, if the user may not
    if (filter && !process.no_new_privileges) install_filter(*filter, channel);
    become(process.user, capabilities);
    hide();
    if (!arrived) change_directory(process.cwd);
    if (process.no_new_privileges) set_no_new_privileges();
    const std::string program = find_executable(process);
    if (filter && process.no_new_privileges) install_filter(*filter, channel);
    return program;
}

void reset_signals() {
    struct sigaction standard{};
    standard.sa_handler = SIG_DFL;
    for (int number = 1; number < 65; ++number) ::sigaction(number, &standard, nullptr);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

long read_without_code(int fd, char* byte) {
    struct Parts {
        void* start[16];
        size_t size[16], count = 0;
    } parts;
    // All are found first, and libc is left alone: what runs afterwards is brought back.
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* found) {
            auto& all = *static_cast<Parts*>(found);
            for (int i = 0; i < info->dlpi_phnum && all.count < std::size(all.start); ++i) {
                const ElfW(Phdr)& part = info->dlpi_phdr[i];
                if (part.p_type != PT_LOAD || (part.p_flags & PF_W) != 0) continue;
                const uintptr_t begin = info->dlpi_addr + part.p_vaddr,
                                page = begin & ~uintptr_t(4095);
                all.start[all.count] = reinterpret_cast<void*>(page);
                all.size[all.count++] = begin + part.p_memsz - page;
            }
            return 0;
        },
        &parts);
    for (size_t i = 0; i < parts.count; ++i)
        raw_call(SYS_madvise, reinterpret_cast<long>(parts.start[i]), long(parts.size[i]),
                 MADV_DONTNEED);
    const long got = raw_call(SYS_read, fd, reinterpret_cast<long>(byte), 1);
    if (got < 0) errno = int(-got);
    return got < 0 ? -1 : got;
}

void execute(const std::string& program, const spec::Process& process) {
    std::vector<char*> argv, env;
    for (const std::string& arg : process.args) argv.push_back(const_cast<char*>(arg.c_str()));
    for (const std::string& entry : process.env) env.push_back(const_cast<char*>(entry.c_str()));
    argv.push_back(nullptr);
    env.push_back(nullptr);
    ::execve(program.c_str(), argv.data(), env.data());
    const int why = errno;  // a security module's word may be that of a file's mode
    const std::string label = process.selinux_label.empty()
                                  ? ""
                                  : str(" with selinux label ", quoted(process.selinux_label));
    throw SysError(why, str("exec ", program, label));
}
