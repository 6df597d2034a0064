// index.json: which manifests are images of the store, and their names. It is replaced as a whole
// under a lock of its own; readers take none. It is never taken for empty because it is not there:
// what it named may come back from a backup, and must find its blobs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "image/reference.h"
#include "spec/image.h"

class Names {
public:
    // Takes the lock, waiting for who has it. Throws Error as read() does.
    explicit Names(const std::string& store_root);
    // Throws Error if it is not there or torn.
    static spec::Index read(const std::string& store_root);
    // Of a new store. One that has blobs was not new: then nothing is made.
    static void make_if_new(const std::string& store_root);

    std::vector<spec::Descriptor>& entries() { return index_.manifests; }
    void save();  // durable when it returns
    // What writers left aside that are dead: whoever wrote it held this lock.
    void remove_torn() const;

private:
    std::string root_;
    FileLock lock_;
    spec::Index index_;
};

std::string name_of(const spec::Descriptor& entry);               // "": it has none
void set_name(spec::Descriptor& entry, const std::string& name);  // "" takes it away
// Nothing for a name that is none of ours: another tool may name as it likes.
std::optional<Reference> reference_of(const spec::Descriptor& entry);
