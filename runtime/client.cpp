// A runtime is asked by its command line and answers by its exit code; why something failed is the
// last record of level "error" in its log. The log is a memory file that the runtime opens through
// /proc/self/fd, so nothing is left on disk.
#include "runtime/client.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"

namespace {

constexpr int log_fd = 3;

std::string find_program(std::string wanted) {
    if (wanted.empty())
        if (const char* named = ::getenv("KEG_RUNTIME")) wanted = named;
    // Absolute, because monitors go elsewhere.
    if (!wanted.empty())
        return wanted.find('/') == std::string::npos ? wanted
                                                     : std::filesystem::absolute(wanted).string();
    char self[PATH_MAX];
    const ssize_t n = ::readlink("/proc/self/exe", self, sizeof self);
    const std::string here(self, n > 0 ? size_t(n) : 0);
    const std::string beside = here.substr(0, here.rfind('/') + 1) + "keg-runtime";
    return ::access(beside.c_str(), X_OK) == 0 ? beside : "keg-runtime";
}

// The last error's message; "" if there is none.
std::string last_error(int log) {
    ::lseek(log, 0, SEEK_SET);
    std::string message;
    for (const std::string& line : split(sys::read_all(log), '\n')) {
        if (line.empty() || line[0] != '{') continue;
        try {
            const json::Value record = json::parse(line);
            const std::string level = record.value("level", "");
            if (level == "error" || level == "fatal") message = record.value("msg", "");
        } catch (const std::exception&) {  // a torn line says nothing
        }
    }
    return message;
}

struct Call {
    std::vector<std::string> words;
    RuntimeClient::Io io{-1, 1, 2};
    bool may_fail = false;  // the exit status is the container's
    bool dies_with_us = false;
    int asking = -1;  // as in CreateOptions
    std::function<void()> heed = {};
};

ExitStatus wait(Child& child, const Call& what) {
    if (what.asking < 0) return child.wait();
    const UniqueFd end = sys::pidfd_open(child.pid());
    pollfd fds[] = {{end.get(), POLLIN, 0}, {what.asking, POLLIN, 0}};
    while (fds[0].revents == 0) {
        if (::poll(fds, 2, -1) < 0 && errno != EINTR) throw SysError("poll");
        if (fds[0].revents != 0 || fds[1].revents == 0) continue;
        try {
            what.heed();
        } catch (...) {
            ::kill(child.pid(), SIGTERM);
            child.wait();
            throw;
        }
        if (fds[1].revents & POLLHUP) fds[1].fd = -1;  // nobody asks any more
    }
    return child.wait();
}

ExitStatus call(const RuntimeClient& client, const Call& what) {
    const UniqueFd log(check(::memfd_create("runtime-log", MFD_CLOEXEC), "memfd_create"));
    Child child = spawn({.argv = client.command(what.words),
                         .env = {},
                         .directory = {},
                         .in = what.io.in,
                         .out = what.io.out,
                         .err = what.io.err,
                         .fds = {{log.get(), log_fd}},
                         .dies_with_us = what.dies_with_us});
    const ExitStatus status = wait(child, what);
    if (status.shell() == 0) return status;
    const std::string why = last_error(log.get());
    if (!why.empty()) throw Error(why);
    if (what.may_fail) return status;
    throw Error(quoted(client.program()), " ", what.words[0], " failed with exit code ",
                status.shell());
}

Call creation(const char* verb, const std::string& id,
              const RuntimeClient::CreateOptions& options) {
    Call out{.words = {verb, "--bundle", options.bundle},
             .io = options.io,
             .asking = options.asking,
             .heed = options.heed};
    if (!options.pid_file.empty())
        out.words.insert(out.words.end(), {"--pid-file", options.pid_file});
    if (!options.console_socket.empty())
        out.words.insert(out.words.end(), {"--console-socket", options.console_socket});
    out.words.push_back(id);
    return out;
}

// Commands that have nothing to say to the user.
Call silent(std::vector<std::string> words) {
    return {.words = std::move(words), .io = {-1, -1, -1}};
}

}  // namespace

int failure_code(std::string_view words, int otherwise) {
    static constexpr std::string_view none[] = {"executable file not found",
                                                "no such file or directory", "system cannot find"},
                                      not_runnable[] = {"permission denied", "is a directory",
                                                        "not a directory", "exec format error"};
    const auto says = [&](std::string_view some) { return words.contains(some); };
    if (std::ranges::any_of(none, says)) return 127;
    return std::ranges::any_of(not_runnable, says) ? 126 : otherwise;
}

RuntimeClient::RuntimeClient(std::string state_root, std::string program)
    : program_(find_program(std::move(program))), state_root_(std::move(state_root)) {}

std::vector<std::string> RuntimeClient::command(std::vector<std::string> words) const {
    std::vector<std::string> argv = {
        program_,       "--root", state_root_, "--log", str("/proc/self/fd/", log_fd),
        "--log-format", "json"};
    argv.insert(argv.end(), words.begin(), words.end());
    return argv;
}

void RuntimeClient::create(const std::string& id, const CreateOptions& options) const {
    call(*this, creation("create", id, options));
}
void RuntimeClient::start(const std::string& id) const { call(*this, silent({"start", id})); }
void RuntimeClient::kill(const std::string& id, const std::string& signal) const {
    call(*this, silent({"kill", id, signal}));
}
void RuntimeClient::pause(const std::string& id) const {
    Call what = silent({"pause", id});
    what.dies_with_us = true;
    call(*this, what);
}
void RuntimeClient::resume(const std::string& id) const { call(*this, silent({"resume", id})); }

void RuntimeClient::remove(const std::string& id, bool force) const {
    call(*this, silent(force ? std::vector<std::string>{"delete", "--force", id}
                             : std::vector<std::string>{"delete", id}));
}

spec::State RuntimeClient::state(const std::string& id) const {
    sys::Pipe out = sys::pipe();
    call(*this, {.words = {"state", id}, .io = {-1, out.write.get(), -1}});
    out.write.reset();
    return spec::read_state(sys::read_all(out.read.get()));
}

ExitStatus RuntimeClient::run(const std::string& id, const CreateOptions& options) const {
    Call what = creation("run", id, options);
    what.may_fail = what.dies_with_us = true;
    return call(*this, what);
}

ExitStatus RuntimeClient::exec(const std::string& id, const ExecOptions& options) const {
    Call what{
        .words = {"exec", "--process", options.process_file}, .io = options.io, .may_fail = true};
    if (!options.pid_file.empty())
        what.words.insert(what.words.end(), {"--pid-file", options.pid_file});
    if (!options.console_socket.empty())
        what.words.insert(what.words.end(), {"--console-socket", options.console_socket});
    if (options.detach) what.words.push_back("--detach");
    what.words.push_back(id);
    return call(*this, what);
}

// Without a log: what is wrong stands in what it writes.
std::string RuntimeClient::ask(const std::vector<std::string>& words, std::string_view in) const {
    std::vector<std::string> argv = {program_, "--root", state_root_};
    argv.insert(argv.end(), words.begin(), words.end());
    Output out = run_program(argv, in);
    if (out.status.shell() == 0) return std::move(out.out);
    std::string_view text = trim(out.err);
    static constexpr std::string_view before = "level=error msg=\"";
    if (const size_t at = text.rfind(before); at != std::string_view::npos)
        text = text.substr(at + before.size()), text.remove_suffix(text.ends_with('"'));
    throw Error(text);
}
