// An EROFS image as a layer: its files as the entries of a tar would be. Whiteouts and opaque
// directories are overlayfs's in it (devices 0:0, attributes), and become names with ".wh.".
//
// It comes from a stranger, and no kernel is ever given it: all of it is looked at by
// read_erofs_layer() first, and what is mounted is an index that keg writes, whose contents are
// places in the image. So a container sees what keg has read, and nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "image/layer/entries.h"
#include "image/layer/erofs_reader.h"

// Whether a plain layer that begins so is such an image, and not a tar: a reader of tars takes it
// for an empty one. None that does not begin with zeros is one here, so that no bytes are both.
constexpr size_t erofs_head_size = 1028;
bool is_erofs(std::string_view head);
bool is_erofs(int fd);

class ErofsLayer : public LayerEntries {
public:
    // Reads what the files are; `fd`, a plain image in a file, stays the caller's. Throws Error for
    // one that keg cannot vouch for ("EROFS image: it is compressed").
    explicit ErofsLayer(int fd);
    ErofsLayer(const ErofsLayer&) = delete;
    ErofsLayer& operator=(const ErofsLayer&) = delete;

    // Directory by directory, each before what is in it, whiteouts first; the names by their bytes.
    // A file with several names is a file by the first, and links to that one by the others.
    const TarEntry* next() override;
    std::optional<Block> read() override;

private:
    struct Level {  // a directory on the way
        FileTree::Id directory;
        std::vector<FileTree::Entry> entries;
        size_t next = 0;
        bool is_opaque = false;
    };

    void enter(FileTree::Id directory, bool is_opaque);
    const TarEntry* tell(const FileTree::Entry& named);
    const TarEntry* tell_mark(std::string_view name);
    bool is_whiteout(FileTree::Id id) const;
    bool describe(const FileTree::File& file, std::string path);
    bool take_attribute(const FileTree::Attribute& attribute);
    void find_content(FileTree::Id id);

    int fd_;
    erofs::LayerTree layer_;
    std::vector<Level> levels_;
    std::string path_;  // of the last one, with a slash behind it
    bool has_begun_ = false;
    uint64_t letters_ = 0;
    std::unordered_map<FileTree::Id, std::string> named_;  // of those with more names than one
    TarEntry entry_;
    std::vector<erofs::Piece> pieces_;  // what is left of the entry's content, the next last
    std::string buffer_;
};
