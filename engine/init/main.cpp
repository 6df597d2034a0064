// keg-init: process 1 of a container with --init. It starts the command, passes every signal on to
// it, and waits for whatever processes end, so that those whose parents have gone do not stay.
//
// What is hard is that it runs in anybody's root file system: it is one static file that needs no
// other, and, as process 1, gets only those signals that it has asked for. It waits for them with
// all of them blocked, so that none comes between two looks. Its last word is the command's exit
// code, as a shell tells it.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

// In a group of its own, with the terminal, so that ^C reaches it once.
void become_command(char** command, const sigset_t& before) {
    ::setpgid(0, 0);
    ::tcsetpgrp(0, ::getpgrp());
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    ::execvp(command[0], command);
    const int code = errno == ENOENT ? 127 : 126;
    ::dprintf(2, "keg-init: %s: %s\n", command[0], ::strerror(errno));
    ::_exit(code);
}

// The command's exit code, once it has ended; -1 before.
int reap(pid_t command) {
    int code = -1, status = 0;
    for (pid_t ended; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;)
        if (ended == command)
            code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    const int first = argc > 1 && ::strcmp(argv[1], "--") == 0 ? 2 : 1;
    if (argc <= first) return 2;
    sigset_t all, before;
    ::sigfillset(&all);
    // What comes of a mistake of ours is not passed on, and the terminal's stops stop the command.
    static const int own[] = {SIGFPE,  SIGILL, SIGSEGV, SIGBUS, SIGABRT,
                              SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU};
    for (const int signal : own) ::sigdelset(&all, signal);
    ::sigprocmask(SIG_BLOCK, &all, &before);
    ::signal(SIGTTOU, SIG_IGN);
    const pid_t command = ::fork();
    if (command < 0) return ::perror("keg-init: fork"), 125;
    if (command == 0) {
        ::signal(SIGTTOU, SIG_DFL);
        become_command(argv + first, before);
    }
    for (;;) {
        int got = 0;
        if (::sigwait(&all, &got) != 0) continue;
        if (got != SIGCHLD) {
            ::kill(command, got);
            continue;
        }
        if (const int code = reap(command); code >= 0) return code;
    }
}
