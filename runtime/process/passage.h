// What guards a process on its way from the runtime into a container, while it is neither. What is
// hard: the kernel takes two of the guards away by itself. Whoever changes its ids or capabilities
// forgets which signal its creator's death sends, and becomes as dumpable as fs.suid_dumpable says;
// an execve forgets one and not the other. So they are set again after each such step, here and
// nowhere else. docs/security.md has the table of a start: which of them holds from where to where.
#pragma once

#include "base/process.h"
#include "runtime/process/channel.h"

// Whoever is on the way begins so: takes its side of the channel, by which it logs from here on,
// and ends with its creator.
void set_out(Channel& channel);

// Not dumpable: nobody may trace it or open its files in /proc but who has CAP_SYS_PTRACE in the
// user namespace where the runtime was executed, and those files belong to that namespace's root. A
// child inherits it.
void hide();
// Root can write the id maps of a process that is hidden; another creator can not, nor can
// newuidmap for it.
bool can_create_hidden();

// SIGKILL to us when our creator ends, by which the other end of the channel is let go as well: if
// that is so already, we end here.
void end_with_creator(const Channel& channel);
// From here on its end is not ours. An exec does not take the signal back.
void outlive_creator();

// Of one in between: its sibling is the creator's from here on, and it ends.
[[noreturn]] void hand_over(Child sibling, Channel& channel);
// By the creator: whom Step::pid tells of.
Child take_over(const Message& born);

// In a user namespace just joined or made: what was there before is nobody's. Hidden again, and
// ends with its creator.
void become_root_inside(const Channel& channel);

// The command line and environment that we were executed with stand in our memory, where /proc
// shows them to whoever sees us; they name the caller's paths and may hold his secrets. remember…:
// by main, before anything else. overwrite…: in this process alone; its programs' environment is
// PATH from then on.
void remember_words(int count, char** words);
void overwrite_words();
