// A password that is typed must not be seen, and the terminal must show what is typed after it
// whatever happens: ^C ends the line here like Enter does, so that the terminal is put back before
// the command ends.
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "base/defer.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "image/registry/login.h"

namespace {

constexpr Option login_options[] = {
    {"username,u", "NAME", "who you are there"},
    {"password,p", "PASSWORD", "seen by all users of this machine: better --password-stdin"},
    {"password-stdin", nullptr, "read the password from standard input"},
};

constexpr cc_t interrupt = 3;  // ^C

std::string ask(const std::string& prompt) {
    std::printf("%s", prompt.c_str());
    std::fflush(stdout);
    std::string line;
    if (!std::getline(std::cin, line)) throw Error("nothing was typed");
    if (line.ends_with(char(interrupt))) throw Error("interrupted").exit_with(130);
    return line;
}

std::string ask_unseen(const std::string& prompt) {
    termios seen{};
    check(::tcgetattr(0, &seen), "the terminal");
    termios unseen = seen;
    unseen.c_lflag &= ~tcflag_t(ECHO | ISIG);
    unseen.c_cc[VEOL] = interrupt;
    check(::tcsetattr(0, TCSAFLUSH, &unseen), "the terminal");
    const Defer shown_again([&] {
        ::tcsetattr(0, TCSAFLUSH, &seen);
        std::printf("\n");
    });
    return ask(prompt);
}

void require_terminal() {
    if (!::isatty(0))
        throw Error("cannot perform an interactive login from a non-terminal: "
                    "give --username and --password-stdin");
}

// By words, standard input, or what is typed now.
Credentials credentials_of(const Arguments& args) {
    Credentials who{.user = args.get("username"), .password = args.get("password")};
    if (args.flag("password-stdin")) {
        if (args.has("password"))
            throw Error("--password and --password-stdin are mutually exclusive");
        if (who.user.empty()) throw Error("must provide --username with --password-stdin");
        who.password = sys::read_all(0, size_t(1) << 16);
        while (who.password.ends_with('\n') || who.password.ends_with('\r'))
            who.password.pop_back();
    } else if (args.has("password")) {
        std::fprintf(stderr, "WARNING! Using --password via the CLI is insecure. "
                             "Use --password-stdin.\n");
    }
    if (who.user.empty() || who.password.empty()) require_terminal();
    if (who.user.empty()) who.user = ask("Username: ");
    if (who.user.empty()) throw Error("username is required");
    if (who.password.empty()) who.password = ask_unseen("Password: ");
    if (who.password.empty()) throw Error("password is required");
    return who;
}

// Who has said nothing may be known already.
bool is_known(const std::string& registry, const Arguments& args) {
    if (args.has("username") || args.has("password") || args.has("password-stdin")) return false;
    const Credentials known = find_credentials(registry);
    if (known.empty()) return false;
    std::fprintf(stderr, "Authenticating with existing credentials...%s\n",
                 known.user.empty() ? "" : (" [Username: " + visible(known.user) + "]").c_str());
    try {
        check_login(registry, known);
        return true;
    } catch (const Error& e) {
        std::fprintf(stderr, "%s\n", visible(e.what()).c_str());
        return false;
    }
}

int login(const Arguments&, const Arguments& args) {
    const std::string registry = registry_of(args.size() ? args[0] : "");
    if (!is_known(registry, args)) {
        const Credentials who = credentials_of(args);
        check_login(registry, who);
        if (const std::string file = store_credentials(registry, who); !file.empty())
            std::fprintf(stderr,
                         "WARNING! Your credentials are stored unencrypted in '%s'.\n"
                         "Configure a credential helper to remove this warning.\n",
                         file.c_str());
        const Credentials found = find_credentials(registry);
        if (found.user != who.user || found.password != who.password)
            std::fprintf(stderr,
                         "WARNING! Another file has credentials for %s, which come first.\n",
                         registry.c_str());
    }
    std::printf("Login Succeeded\n");
    return 0;
}

}  // namespace

constinit const Command login_command = {
    .name = "login",
    .synopsis = "[SERVER]",
    .summary = "tell a registry who you are, and remember it",
    .options = login_options,
    .most = 1,
    .interspersed = true,
    .run = login,
};
