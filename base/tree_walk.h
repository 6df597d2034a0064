// A walk over a directory tree that a stranger made, or changes meanwhile: as deep as he likes, for
// rename(2) makes trees deeper than any path. A level costs a name and an inode number in memory,
// neither a descriptor nor a frame; each directory is read once; no link is followed, so nobody
// leads the walk out of the tree. What is gone, or no directory any more, is passed over.
#pragma once

#include <functional>
#include <string>
#include <vector>

// Something in the tree, as the directory that it is in and its name there.
struct TreePlace {
    int parent;
    const char* name;
    unsigned char type = 0;  // DT_DIR …; DT_UNKNOWN (0) where the directory does not say
    const std::vector<std::string>* above = nullptr;  // the directories it is in, from the top on
    int self = -1;  // of a directory that is entered or left: itself, unless we have lost it
    int times = 0;  // it was entered

    bool is_top() const { return !above || above->empty(); }
    // From the top, which is "": "/directory/name".
    std::string path() const;
    // For an error: with the top, as it was named, and without the middle of what is very deep.
    std::string shown() const;
};

// What is done on the way. Descriptors are the walk's.
struct TreeVisitor {
    // All that is in a directory, while it is read. True: a directory to enter when the one that it
    // is in was read; what is none by then is passed over.
    std::function<bool(const TreePlace&)> meet;
    // A directory before it is read.
    std::function<void(const TreePlace&)> enter = {};
    // When all below it was left. True: it is to be entered again.
    std::function<bool(const TreePlace&)> leave = {};
    // All of a directory is read before any of it is met: who adds to it meanwhile keeps nobody,
    // and its names are in memory.
    bool reads_first = false;
    // What throws an Error keeps what is above it from being left, and nothing else; the first
    // error is thrown at the end. Otherwise it ends the walk.
    bool goes_on = false;
};

// `top` is a name in `parent`, or a path, whose last part is no link. It is not met, but entered
// and left. Throws what the visitor does, SysError for what cannot be read, and Error if a
// directory that it is in is moved meanwhile; one that goes on finds its way again.
void walk_tree(int parent, const std::string& top, const TreeVisitor& visitor);

// What a file, or a directory with all that is below it, takes of the disk, in bytes. Nothing for
// what is not there; a name more of the same file counts once more.
uint64_t disk_usage(const std::string& path);
