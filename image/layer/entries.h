// What a layer says, entry by entry, whatever it is written as: a tar (tar_stream.h) or an EROFS
// image (erofs_layer.h). Both say it in a tar's words, ".wh." names included, so that all that is
// made of layers is made of either.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct TarEntry {
    // For data_at: the content is in pieces that are not one behind the other.
    static constexpr uint64_t nowhere = UINT64_MAX;
    enum class Type { file, hard_link, symlink, character_device, block_device, directory, fifo };
    struct Segment {
        uint64_t offset, size;  // in the file; what lies between is zeros
    };

    Type type = Type::file;
    std::string name, target;  // as they are written; the target of a link, never empty there
    uint32_t mode = 0;         // permissions, 07777
    int64_t uid = 0, gid = 0;  // any number: the caller knows which it takes
    timespec modified{};
    std::optional<timespec> accessed = {};
    uint64_t device_major = 0, device_minor = 0;
    std::map<std::string, std::string> xattrs = {};
    uint64_t size = 0;     // of a file's content, with its holes; 0 for all that is no file
    uint64_t data_at = 0;  // where the content's first byte is in the tar or image
    // Of a sparse file the pieces that are stored, one behind the other: ascending, apart, within
    // the size. Nothing for a file that is stored whole.
    std::optional<std::vector<Segment>> segments = {};
};

// Of a file with that mode (inode(7)); all that no tar has is a file.
constexpr TarEntry::Type tar_type(mode_t mode) {
    using enum TarEntry::Type;
    switch (mode & S_IFMT) {
        case S_IFDIR: return directory;
        case S_IFLNK: return symlink;
        case S_IFCHR: return character_device;
        case S_IFBLK: return block_device;
        case S_IFIFO: return fifo;
        default: return file;
    }
}

class LayerEntries {
public:
    virtual ~LayerEntries() = default;

    // The next entry, which stays until the next call; nullptr at the end. What was not read of the
    // last one is passed over. Throws Error, with the entry's name where it has one.
    virtual const TarEntry* next() = 0;

    // The next bytes of the entry's content, and where in the file they are; nothing at its end.
    struct Block {
        uint64_t offset;
        std::string_view data;
    };
    virtual std::optional<Block> read() = 0;
};
