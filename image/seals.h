// What guards the files that an index of layers is mounted of, the index and its tars, against a
// disk that changes under them. Where the file system has fs-verity (ext4, btrfs, f2fs), it is
// switched on for them: nobody can write to them any more, and each page that is read is compared
// with a tree of hashes, so that who reads gets the bytes that were there, or an error.
//
// That a file still has what it was given, and no other in its place, is known by what the kernel
// measures of it: ROOT/layers/…/CHAINID/seals notes that when the index is made, and it is asked
// for when the index is mounted. A layer without the note is one of a file system without.
#pragma once

#include <map>
#include <string>

class Seals {
public:
    // As noted in a layer's directory; none if there is no note.
    static Seals read(const std::string& directory);
    // Notes them there, or that there are none.
    void write(const std::string& directory) const;
    bool empty() const { return measured_.empty(); }

    // Switches it on for a file that is whole, and on the disk: it has it for ever. Warns of one
    // that cannot be sealed, which is used all the same.
    void seal(const std::string& path);
    // What is wrong with the file of that name (the last of its path), "" if it is as it was, or if
    // nothing is known of it.
    std::string fault(const std::string& path, int fd) const;

private:
    std::map<std::string, std::string> measured_;  // by the names of the files
};

// The ioctl behind it. Throws SysError, also where it is not supported.
void enable_verity(const std::string& path);
// Is there a file that has it?
bool has_verity(const std::string& path);
