// Never let a container reach the host's binary: a program of the container that is, or is interpreted
// by, /proc/self/exe would run the runtime's file and could then write to it (CVE-2019-5736). So what
// enters a container runs from a copy that cannot be written: the same file through a detached
// read-only mount, or, without the right to mount, a sealed memfd.
#pragma once

// Executes the program again from such a copy, unless it already runs from one.
void run_sealed(char** argv);
