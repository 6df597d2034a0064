// A copy of a directory tree that a stranger made, as faithful as a file system can tell: owners,
// modes, extended attributes, times, symbolic and hard links, holes, FIFOs, sockets and device
// nodes.
#pragma once

// Copies what is in the directory `from`, and the directory's own attributes, into `to`, which is
// empty. Both are open; nobody changes either meanwhile. Any depth, with a fixed number of
// descriptors. Throws at the first thing that cannot be copied and names it by its path below
// `from`.
void copy_tree(int from, int to);
