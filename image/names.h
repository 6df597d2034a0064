// index.json: which manifests are images of the store, and their names. It is replaced as a whole
// under a lock of its own; readers take none. It is never taken for empty because it is not there:
// what it named may come back from a backup, and must find its blobs.
//
// keg writes an entry a line, so that the ten-thousandth name costs what the first does: lines are
// looked at, and only those that are asked for become more than that. What another tool wrote may
// look otherwise, and means the same.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "image/reference.h"
#include "spec/image.h"

// A name for a manifest; none: it is an image all the same, a dangling one.
struct Naming {
    spec::Descriptor manifest;
    std::optional<Reference> name;
};

// What index.json says.
class NameTable {
public:
    // Throws Error for what is no index, or has an entry that is none.
    explicit NameTable(std::string text);
    NameTable(const NameTable&) = delete;  // the entries lie in the text
    NameTable& operator=(const NameTable&) = delete;

    struct Entry {
        std::string_view line;          // its JSON
        std::string_view digest, name;  // "": it has none
        spec::Descriptor descriptor() const;
    };
    const std::vector<Entry>& entries() const { return entries_; }
    // The first with that name, in whatever form another tool may have written it. If the name has
    // a digest: one of that repository and digest.
    const Entry* find(const Reference& name) const;
    // The same table with other entries.
    std::string text_with(std::span<const Entry> entries) const;

private:
    bool read_lines();
    bool add(std::string_view line);

    std::string text_;
    std::vector<Entry> entries_;
    std::deque<spec::Descriptor> words_;  // of lines whose words are not as in the text
    std::string_view tail_;               // what stands behind the entries
};

// To change it. Each change is durable when it returns.
class Names {
public:
    // Takes the lock, waiting for who has it. Throws Error as read() does.
    explicit Names(const std::string& store_root);
    // Throws Error if it is not there or torn.
    static NameTable read(const std::string& store_root);
    // Of a new store. One that has blobs was not new: then nothing is made.
    static void make_if_new(const std::string& store_root);
    // Instead of one that cannot be read.
    static void write(const std::string& store_root, std::span<const spec::Descriptor> entries);

    // One after the other: a name means what it was given last; what had it before is dangling if
    // it has no other.
    void give(std::span<const Naming> namings);
    // The name means nothing any more. False: it did not before.
    bool take(const Reference& name);
    // Takes the manifest away, with all its names.
    void remove(const std::string& digest);
    // What writers left aside that are dead: whoever wrote it held this lock.
    void remove_torn() const;

private:
    void save(std::span<const NameTable::Entry> entries);

    std::string root_;
    FileLock lock_;
    NameTable table_;
};

// Nothing for a name that is none of ours: another tool may name as it likes.
std::optional<Reference> reference_of(std::string_view name);
