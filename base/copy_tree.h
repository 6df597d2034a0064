// A copy of a directory tree that a stranger made.
#pragma once

enum class Likeness {
    plain,  // what is in the tree: content with its holes, links, FIFOs, devices; owners and modes
    full,   // hard links, extended attributes and times, too, and the top's own attributes
};

// Copies what is in the directory `from` into `to`, which is empty and nobody else's. What goes
// away meanwhile is as if it had not been there. Any depth, with a fixed number of descriptors.
// Throws at the first thing that cannot be copied, or is a file of the kernel's (procfs …), and
// names it.
void copy_tree(int from, int to, Likeness likeness);
