// A stack of layers as the one tree of files that a container sees, in memory: names, looks, and
// where in which tar the contents are. It is what apply_layer() (apply.h) would make on disk of the
// same layers, refuses what that refuses in the same words, and costs no file. An index of it is
// mounted in its place (erofs_writer.h).
//
// One thing a layer leaves open: a directory that it needs and does not describe is root's, has the
// mode 0755, and here was changed in 1970; a lower layer's keeps its time.
#pragma once

#include <sys/stat.h>
#include <time.h>

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "image/layer/tar_stream.h"

class FileTree {
public:
    using Id = uint32_t;  // of a file of any kind, whatever names it has
    static constexpr Id root = 0;
    static constexpr uint32_t none = 0xffffffff;

    struct File {
        uint32_t mode = 0;  // kind and permissions
        uint32_t uid = 0, gid = 0;
        uint32_t links = 0;  // how many names it has, and 0 if it is not in the tree any more
        timespec modified{};
        uint64_t size = 0;   // of a regular file's content, with its holes, and of a link's target
        uint64_t place = 0;  // a regular file's first byte in its tar; a device's number (makedev)
        uint32_t tar = 0;    // which of tars()
        uint32_t attributes = 0;     // a number that files with the same attributes share; 0: none
        uint32_t particular = none;  // what only this kind of file has: for the tree's own use

        bool is_directory() const { return S_ISDIR(mode); }
    };
    struct Entry {
        std::string_view name;
        Id file;
    };
    struct Attribute {
        std::string name, value;
    };
    struct Tar {
        std::string tag;      // who it is: its digest's letters, as far as 64 go
        uint64_t blocks = 0;  // of 512 bytes
    };

    FileTree();  // an empty root

    // One layer on top, its tar's entries in their order. Views and references of the tree hold
    // until the next call. After an Error (it names the entry) the tree is of no more use.
    void begin_layer(std::string_view tag);
    void add(const TarEntry& entry);
    void end_layer(uint64_t tar_size);

    // What a clean path is, links on the way to it followed; nothing if there is nothing.
    std::optional<Id> look_up(std::string_view path);

    // How many ids there are; some may be of files that a layer has hidden.
    size_t size() const { return files_.size(); }
    const File& file(Id id) const { return files_[id]; }
    std::vector<Entry> entries(Id directory) const;  // sorted by the bytes of their names
    Id parent(Id directory) const { return directory_of(directory).parent; }
    std::string_view target(const File& symlink) const;
    // The stored pieces of a sparse file, as in a TarEntry; nothing for one that is stored whole.
    std::optional<std::span<const TarEntry::Segment>> segments(const File& file) const;
    // Numbers of attributes, sorted by their names.
    std::span<const uint32_t> attributes(const File& file) const { return sets_[file.attributes]; }
    size_t attribute_count() const { return attributes_.size(); }
    const Attribute& attribute(uint32_t number) const { return attributes_[number]; }
    const std::vector<Tar>& tars() const { return tars_; }

    // For who has a tree from elsewhere: a file without a name (of a directory no more than its
    // looks; of what has a target or segments, with them), a name for it. The name must be free,
    // and a directory gets one.
    Id make(File file, std::string_view target = {});
    Id make_sparse(File file, std::span<const TarEntry::Segment> segments);
    void name(Id directory, std::string_view name, Id file);
    uint32_t add_tar(Tar tar);
    uint32_t attribute_number(std::string name, std::string value);
    uint32_t attribute_set(std::vector<uint32_t> sorted);  // by their names
    // That is how a directory looks from here on; what is in it stays.
    void describe(Id directory, const File& looks);

private:
    struct Name {
        Id directory, file;
        uint32_t at;             // in letters_
        uint32_t before, after;  // its neighbours in the directory
        uint32_t hash;
        uint32_t touched;  // the last layer that brought it or something in it
        uint8_t size;
    };
    struct Directory {
        Id parent;
        uint32_t name;     // its own; none: the root
        uint32_t first;    // of the names in it
        uint32_t cleared;  // the last layer of which it holds nothing but what that brought
    };
    struct Hash {
        size_t operator()(const std::string& text) const;
    };

    Directory& directory_of(Id id) { return directories_[files_[id].particular]; }
    const Directory& directory_of(Id id) const { return directories_[files_[id].particular]; }
    std::string_view text(const Name& name) const { return {&letters_[name.at], name.size}; }
    uint32_t keep_letters(std::string_view text);

    uint32_t find(Id directory, std::string_view name) const;
    void rehash();
    void detach(uint32_t name);
    void remove(uint32_t name);
    void clear_untouched(Id directory);
    Id make_implied(Id parent, std::string_view name);

    enum class Missing { make, leave };
    std::expected<Id, int> directory_at(std::string_view path, Missing missing);
    Id parent_at(std::string_view path);
    std::optional<Id> directory_if_exists(std::string_view path, std::string_view asked);
    void make_opaque(std::string_view path);
    void hide(std::string_view directory, std::string_view name);
    File looks_of(const TarEntry& entry, const std::string& path, Id before);
    void make_node(const TarEntry& entry, const std::string& path);
    Id make_file(const TarEntry& entry, const std::string& path);
    void make_link(const TarEntry& entry, const std::string& path, Id directory,
                   std::string_view name);
    uint32_t linked_by(std::string_view target);

    std::vector<File> files_;
    std::vector<Directory> directories_;
    std::vector<Name> names_;
    std::vector<uint32_t> slots_;  // a hash table of names_: the number and one more, 0 is free
    size_t named_ = 0;             // how many of them are in it
    std::string letters_;          // names and targets
    std::vector<TarEntry::Segment> segments_;
    std::vector<std::pair<uint32_t, uint32_t>>
        maps_;  // of sparse files: begin and end in segments_
    std::vector<Attribute> attributes_;
    std::vector<std::vector<uint32_t>> sets_;
    std::unordered_map<std::string, uint32_t, Hash> attribute_numbers_, set_numbers_;
    std::vector<Tar> tars_;
    uint32_t layer_ = 0;
    std::string parent_path_;  // the last parent: entries come directory by directory
    std::optional<Id> parent_;
};
