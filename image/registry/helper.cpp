// A helper is somebody's program: it may wait for ever for a keyring that nobody opens, or write
// without end. So both have a limit, behind which it is killed. What it says is shown, but never
// what it was told.
#include "image/registry/helper.h"

#include <poll.h>
#include <signal.h>

#include <chrono>

#include "base/defer.h"
#include "base/process.h"
#include "base/sys.h"

namespace {

constexpr std::chrono::seconds most_time{60};
constexpr size_t most_output = size_t(1) << 20;
constexpr std::string_view not_found = "credentials not found in native keychain";

struct Said {
    bool ok;
    std::string words;
};

class Helper {
public:
    explicit Helper(const std::string& name) : program_("docker-credential-" + name) {
        const bool is_name = !name.empty() && name.find_first_not_of(
                                                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
                                                  "WXYZ0123456789-_.") == std::string::npos;
        if (!is_name) throw Error("the credential helper ", ::quoted(name), " is no name");
    }

    // A few bytes, which fit into a pipe whether it reads them or not.
    Said say(const char* verb, std::string_view input) {
        sys::Pipe in = sys::pipe(), out = sys::pipe();
        Child child = context("error getting credentials", [&] {
            return spawn({.argv = {program_, verb},
                          .env = {},
                          .directory = {},
                          .in = in.read.get(),
                          .out = out.write.get(),
                          .fds = {}});
        });
        in.read.reset(), out.write.reset();
        hand_over(in.write, input);
        const std::string words = read_all(out.read.get());
        return {child.wait().shell() == 0, std::string(trim(words))};
    }

    [[noreturn]] void fail(const Said& said) const {
        throw Error("error getting credentials: ", program_, ": ",
                    said.words.empty() ? "it failed without a word"
                                       : visible(said.words.substr(0, 500)));
    }

private:
    static void hand_over(UniqueFd& to, std::string_view input) {
        const auto old = ::signal(SIGPIPE, SIG_IGN);
        const Defer restored([&] { ::signal(SIGPIPE, old); });
        if (::write(to.get(), input.data(), input.size()) < 0 && errno != EPIPE)
            throw SysError("write to a credential helper");
        to.reset();
    }

    std::string read_all(int from) const {
        const auto end = std::chrono::steady_clock::now() + most_time;
        std::string out;
        for (;;) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(
                end - std::chrono::steady_clock::now());
            pollfd ready{from, POLLIN, 0};
            const int got = left.count() > 0 ? ::poll(&ready, 1, int(left.count())) : 0;
            if (got < 0 && errno == EINTR) continue;
            check(got, "poll");
            if (got == 0) throw Error(program_, " does not answer");
            char buffer[4096];
            const ssize_t count = ::read(from, buffer, sizeof buffer);
            if (count < 0 && errno == EINTR) continue;
            check(count, "reading from ", program_);
            if (count == 0) return out;
            out.append(buffer, size_t(count));
            if (out.size() > most_output) throw Error(program_, " says too much");
        }
    }

    std::string program_;
};

}  // namespace

// The user name of one that is no password's.
static constexpr std::string_view token_user = "<token>";

Credentials ask_helper(const std::string& name, const std::string& server) {
    Helper helper(name);
    const Said said = helper.say("get", server);
    if (!said.ok && said.words.contains(not_found)) return {};
    if (!said.ok) helper.fail(said);
    const json::Value answer =
        context("docker-credential-" + name, [&] { return json::parse(said.words); });
    const auto text = [&](const char* key) {
        const auto at = answer.is_object() ? answer.find(key) : answer.end();
        return at != answer.end() && at->is_string() ? at->get<std::string>() : std::string();
    };
    if (text("Username") == token_user)
        return {.user = {}, .password = {}, .identity_token = text("Secret")};
    return {.user = text("Username"), .password = text("Secret"), .identity_token = {}};
}

void tell_helper(const std::string& name, const std::string& server, const Credentials& what) {
    Helper helper(name);
    const bool is_token = !what.identity_token.empty();
    const Said said = helper.say(
        "store", json::dump({{"ServerURL", server},
                             {"Username", is_token ? std::string(token_user) : what.user},
                             {"Secret", is_token ? what.identity_token : what.password}}));
    if (!said.ok) helper.fail(said);
}

bool erase_from_helper(const std::string& name, const std::string& server) {
    if (ask_helper(name, server).empty()) return false;
    Helper helper(name);
    const Said said = helper.say("erase", server);
    if (!said.ok) helper.fail(said);
    return true;
}
