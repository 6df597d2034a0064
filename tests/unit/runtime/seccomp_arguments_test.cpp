// What the table says of each call, against what the running kernel says of itself.
#include "runtime/seccomp/arguments.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include "base/sys.h"
#include "base/text.h"
#include "tests/unit/catch.h"

namespace {

// The kernel's events, in a file system that is mounted nowhere; nothing if we may not.
UniqueFd open_events() {
    const UniqueFd fs(int(::syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC)));
    if (!fs || ::syscall(SYS_fsconfig, fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
        return {};
    const UniqueFd top(int(::syscall(SYS_fsmount, fs.get(), FSMOUNT_CLOEXEC, 0)));
    return top ? UniqueFd(
                     ::openat(top.get(), "events/syscalls", O_RDONLY | O_DIRECTORY | O_CLOEXEC))
               : UniqueFd{};
}

std::string call_of(const std::string& event) {
    static const std::map<std::string, std::string> others = {
        {"newfstat", "fstat"}, {"newstat", "stat"},        {"newlstat", "lstat"},
        {"newuname", "uname"}, {"sendfile64", "sendfile"}, {"umount", "umount2"}};
    const std::string name = event.substr(std::string_view("sys_enter_").size());
    const auto found = others.find(name);
    return found == others.end() ? name : found->second;
}

// "	field:const clockid_t which_clock;	offset:16;	…": the declared type of each
// argument, as bits.
std::vector<unsigned> declared(const std::string& format) {
    static const std::set<std::string> ints = {"int",
                                               "unsigned int",
                                               "unsigned",
                                               "pid_t",
                                               "uid_t",
                                               "gid_t",
                                               "u32",
                                               "__u32",
                                               "__s32",
                                               "clockid_t",
                                               "timer_t",
                                               "mqd_t",
                                               "key_t",
                                               "key_serial_t",
                                               "qid_t",
                                               "rwf_t",
                                               "enum landlock_rule_type"};
    std::vector<unsigned> bits;
    for (const std::string& line : split(format, '\n')) {
        const std::string_view field = trim(line);
        if (!field.starts_with("field:") || field.contains("common_") ||
            field.contains("__syscall_nr"))
            continue;
        std::string type(field.substr(6, field.find(';') - 6));
        type = type.substr(0, type.find_last_of(" *") + 1);  // without the name
        if (type.starts_with("const ")) type = type.substr(6);
        type = trim(type);
        bits.push_back(type == "umode_t" ? 16 : ints.contains(type) ? 32 : 64);
    }
    return bits;
}

}  // namespace

TEST_CASE("the kernel declares the arguments of its calls as the table has them") {
    const UniqueFd events = open_events();
    if (!events) {
        WARN("not compared: only root may see the kernel's events");
        return;
    }
    // Declared long, and cut within.
    const std::map<std::string, unsigned> cut = {{"clone", 0},   {"mmap", 4},    {"ptrace", 1},
                                                 {"readv", 0},   {"writev", 0},  {"preadv", 0},
                                                 {"pwritev", 0}, {"preadv2", 0}, {"pwritev2", 0}};
    size_t compared = 0;
    for (const auto& entry : std::filesystem::directory_iterator(sys::proc_fd(events.get()))) {
        const std::string event = entry.path().filename();
        if (!event.starts_with("sys_enter_")) continue;
        const std::string call = call_of(event);
        const UniqueFd file = sys::openat(events.get(), event + "/format", O_RDONLY);
        const std::vector<unsigned> wanted = declared(sys::read_all(file.get()));
        const ArgumentBits bits = bits_read(call, AUDIT_ARCH_X86_64);
        for (unsigned i = 0; i < wanted.size() && i < 6; ++i, ++compared) {
            CAPTURE(call, i);
            const auto known = cut.find(call);
            if (known == cut.end() || known->second != i) CHECK(unsigned(bits[i]) == wanted[i]);
        }
    }
    CHECK(compared > 500);
}

TEST_CASE("the flags of clone stand second on s390") {
    CHECK(bits_read("clone", AUDIT_ARCH_X86_64)[0] == 32);
    CHECK(bits_read("clone", AUDIT_ARCH_S390X)[0] == 64);
    CHECK(bits_read("clone", AUDIT_ARCH_S390X)[1] == 32);
    CHECK(bits_read("no_such_call", AUDIT_ARCH_X86_64)[0] == 64);
}
