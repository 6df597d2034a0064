// What is hard here is to trust nothing and to stay linear. Each number is compared with what is
// there before it is used, by subtraction, so that no sum is too large. Directories are walked with
// a list of what is ahead, not by recursion. And since parts of a hostile index may lie over each
// other (a thousand inodes with the same map of chunks behind them), the lengths of all parts that
// are looked at are added up: in an honest index they are no more than the index.
//
// A layer's image differs in what its files hold: that is of the image itself, in pieces that lie
// anywhere, also over each other, since writers keep equal pieces once. So they are added up, too.
// And it is large, nearly all of it contents: it is read where it is looked at.
#include "image/layer/erofs_reader.h"

#include <linux/limits.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "image/layer/erofs_format.h"
#include "image/layer/rules.h"

namespace erofs {
namespace {

constexpr unsigned least_block_bits = 9, most_block_bits = 12;

// Of a layer's image. What is in it may be a thousand times what its compressed blob was.
constexpr uint64_t most_files = 2'000'000, most_attributes = 2'000'000, most_pieces = 4'000'000;
constexpr uint64_t most_looked_at = uint64_t(256) << 20;
constexpr uint64_t most_uses = 8;  // of its bytes, by all files together

template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
    throw Error(parts...);
}

// An inode of either form.
struct Found {
    uint64_t number = 0;
    uint64_t at = 0, attributes_at = 0, end = 0;
    bool is_extended = false;
    Layout layout = Layout::plain;
    uint32_t attribute_words = 0;
    uint32_t block = 0;
    FileTree::File file = {};  // its links are those that it says

    template <class... Parts>
    [[noreturn]] void refuse(const Parts&... parts) const {
        erofs::refuse("inode ", number, ": ", parts...);
    }
};

// Of inodes, by their numbers: which of all that could be there are is not known before.
class Ids {
public:
    Ids() = default;
    explicit Ids(uint64_t count) : count_(count), pages_(count / page_size + 1) {}
    uint64_t count() const { return count_; }
    bool has(uint64_t number) const { return (*this)[number] != FileTree::none; }
    FileTree::Id operator[](uint64_t number) const {
        const auto* const page = number < count_ ? pages_[number / page_size].get() : nullptr;
        return page ? (*page)[number % page_size] : FileTree::none;
    }
    void set(uint64_t number, FileTree::Id id) {
        auto& page = pages_[number / page_size];
        if (!page) {
            page = std::make_unique<Page>();
            page->fill(FileTree::none);
        }
        (*page)[number % page_size] = id;
    }

private:
    static constexpr size_t page_size = 512;
    using Page = std::array<FileTree::Id, page_size>;
    uint64_t count_ = 0;
    std::vector<std::unique_ptr<Page>> pages_;
};

enum class Kind { index, layer };

class Reader {
public:
    Reader(Kind kind, uint64_t size, const ReadAt& read)
        : is_layer_(kind == Kind::layer), size_(size), read_(read) {}

    LayerTree read() {
        read_superblock();
        read_devices();
        read_root();
        while (!ahead_.empty()) {
            const Found directory = ahead_.back();
            ahead_.pop_back();
            read_directory(directory);
        }
        if (!is_layer_) check_links();
        return {std::move(tree_), std::move(scattered_)};
    }

private:
    struct Space {  // of blocks in what all devices are together
        uint64_t first, blocks;
        uint32_t tar;
    };
    struct Place {
        uint32_t tar;
        uint64_t at;  // in bytes
    };
    struct Extent {
        uint64_t at, size;
    };
    struct Claim {  // of an inode, by id
        uint64_t number;
        uint32_t links;
        bool is_directory;
        bool is_uncounted;  // a directory with too many for its form
    };

    template <class Part>
    Part part_at(uint64_t at) const {
        Part part;
        read_(at, {reinterpret_cast<char*>(&part), sizeof part});
        return part;
    }
    std::string bytes_at(uint64_t at, uint64_t size) const {
        std::string bytes(size, '\0');
        read_(at, bytes);
        return bytes;
    }
    bool holds(uint64_t at, uint64_t size) const { return at <= size_ && size <= size_ - at; }
    uint64_t block_size() const { return uint64_t(1) << super_.block_bits; }
    uint64_t blocks_of(uint64_t size) const {
        return (size >> super_.block_bits) + ((size & (block_size() - 1)) != 0);
    }
    void look_at(const Found& inode, uint64_t at, uint64_t size, const char* what);

    void read_superblock();
    void check_checksum() const;
    void read_devices();
    void read_root();

    Found inode_at(uint64_t number);
    template <class Form>
    void read_head(Found& found) const;
    static timespec time_of(const Found& found, const Inode& inode);
    timespec time_of(const Found& found, const CompactInode& inode) const;
    FileTree::Id make(const Found& found);
    FileTree::Id make_file(const Found& found, FileTree::File file);

    struct Attribute {
        uint32_t number;
        uint64_t size;
    };
    uint32_t read_attributes(const Found& found);
    uint32_t read_shared(const Found& found, uint32_t word);
    Attribute read_attribute(const Found& found, uint64_t at, uint64_t most);

    void check_layout(const Found& found) const;
    uint64_t tail_of(const Found& found) const {
        return found.layout == Layout::tail_inline ? found.file.size % block_size() : 0;
    }
    Extent blocks_of_content(const Found& found);
    Extent tail_of_content(const Found& found);
    std::string link_target(const Found& found);
    FileTree::Id make_regular(const Found& found, FileTree::File file);
    FileTree::Id make_with_tail(const Found& found, FileTree::File file);
    FileTree::Id make_of_chunks(const Found& found, FileTree::File file);
    FileTree::Id make_of_pieces(const Found& found, FileTree::File file, std::vector<Piece> pieces);
    Place place_of(const Found& found, uint32_t block, uint64_t size) const;
    Place place_of(const Found& found, const Chunk& chunk, uint64_t size) const;

    void read_directory(const Found& directory);
    void read_block(const Found& directory, FileTree::Id id, std::string_view block);
    void add_entry(const Found& directory, FileTree::Id id, std::string_view name,
                   const DirectoryEntry& entry);
    void check_links() const;

    const bool is_layer_;
    const uint64_t size_;
    const ReadAt& read_;
    Superblock super_{};
    FileTree tree_;
    std::unordered_map<FileTree::Id, std::vector<Piece>> scattered_;
    std::vector<Space> spaces_;  // ascending
    std::vector<Found> ahead_;   // directories
    Ids ids_;
    std::vector<Claim> claims_;
    std::vector<uint32_t> directories_in_;           // each, by id
    std::unordered_map<uint32_t, uint32_t> shared_;  // attributes, by their words in the index
    uint64_t looked_at_ = 0, stored_ = 0, attributes_ = 0, pieces_ = 0;
    // Of the directory that is read.
    std::string last_name_;
    bool has_self_ = false, has_parent_ = false;
};

void Reader::look_at(const Found& inode, uint64_t at, uint64_t size, const char* what) {
    if (!holds(at, size)) inode.refuse("its ", what, " is not all there");
    looked_at_ += size;
    if (looked_at_ > size_) inode.refuse("its ", what, " lies over something else");
    if (is_layer_ && looked_at_ > most_looked_at)
        refuse("it has more than ", most_looked_at, " bytes of names and attributes");
}

// What there is at all

void Reader::read_superblock() {
    if (!holds(superblock_at, sizeof(Superblock))) refuse("it is too short");
    super_ = part_at<Superblock>(superblock_at);
    if (super_.magic != magic) refuse("it is none");
    if (super_.block_bits < least_block_bits || super_.block_bits > most_block_bits)
        refuse("it has blocks of 2^", unsigned(super_.block_bits), " bytes");
    if ((super_.compatible & has_checksum) != 0) check_checksum();
    const uint32_t known = zero_padding | chunked_files | (is_layer_ ? 0 : device_table);
    if (is_layer_ && (super_.incompatible & device_table) != 0)
        refuse("the contents of its files are in other images");
    if ((super_.incompatible & (compression | packed_tails | fragments)) != 0)
        refuse("it is compressed");
    if ((super_.incompatible & ~known) != 0)
        refuse("it has features that are not known: ", super_.incompatible & ~known);
    if (super_.directory_bits != 0) refuse("it has directories of another block size");
    if (super_.filter != 0) refuse("it has another filter of attributes");
    if (uint64_t(super_.blocks) << super_.block_bits > size_)
        refuse("it has ", size_, " bytes, but ", super_.blocks, " blocks");
    ids_ = Ids(size_ / inode_slot);
}

void Reader::check_checksum() const {
    const uint64_t end = block_size() > superblock_at ? block_size() : superblock_at + block_size();
    if (size_ < end) refuse("it is too short");
    std::string block = bytes_at(superblock_at, end - superblock_at);
    block.replace(offsetof(Superblock, checksum), sizeof super_.checksum, sizeof super_.checksum,
                  '\0');
    if (checksum(block) != super_.checksum) refuse("its superblock has another checksum");
}

void Reader::read_devices() {
    const uint64_t count = super_.devices;
    if (is_layer_ && count == 0) tree_.add_tar({{}, size_ >> least_block_bits});
    if ((count != 0) != ((super_.incompatible & device_table) != 0))
        refuse("it has ", count, " devices, and says otherwise");
    const uint64_t at = uint64_t(super_.device_slot) * sizeof(Device);
    if (count != 0 &&
        (at < superblock_at + sizeof(Superblock) || !holds(at, count * sizeof(Device))))
        refuse("its table of devices is not there");
    uint64_t end = super_.blocks;
    for (uint32_t i = 0; i < count; ++i) {
        const auto device = part_at<Device>(at + i * sizeof(Device));
        if (device.blocks_high != 0 || device.first_block_high != 0)
            refuse("device ", i + 1, " is too large");
        const std::string_view tag(device.tag.data(), device.tag.size());
        tree_.add_tar({std::string(tag.substr(0, tag.find('\0'))),
                       uint64_t(device.blocks) << (super_.block_bits - least_block_bits)});
        if (device.first_block == 0) continue;  // only chunks lead there
        if (device.first_block < end) refuse("device ", i + 1, " lies over another");
        spaces_.push_back({device.first_block, device.blocks, i});
        end = uint64_t(device.first_block) + device.blocks;
    }
}

void Reader::read_root() {
    const Found root = inode_at(super_.root);
    if (!root.file.is_directory()) root.refuse("the root is no directory");
    make(root);
}

// Inodes

Found Reader::inode_at(uint64_t number) {
    Found found{.number = number};
    const uint64_t begin = uint64_t(super_.inodes_block) << super_.block_bits;
    if (number >= ids_.count() || !holds(begin, number * inode_slot + sizeof(CompactInode)))
        found.refuse("it is not there");
    found.at = begin + number * inode_slot;
    const auto format = part_at<uint16_t>(found.at);
    found.is_extended = (format & extended) != 0;
    const uint64_t size = found.is_extended ? sizeof(Inode) : sizeof(CompactInode);
    look_at(found, found.at, size, "head");
    found.attributes_at = found.end = found.at + size;
    found.layout = Layout(format >> 1 & 7);
    if (format >> 4 != 0) found.refuse("its form is not known");
    if (found.layout == Layout::compressed || found.layout == Layout::compressed_full)
        found.refuse("it is compressed");
    if (found.layout > Layout::chunks) found.refuse("its form is not known");
    found.is_extended ? read_head<Inode>(found) : read_head<CompactInode>(found);
    if (kind_number(found.file.mode) == 0) found.refuse("its kind is not known");
    if (found.file.size > uint64_t(std::numeric_limits<int64_t>::max()))
        found.refuse("its size is not possible");
    if (found.attribute_words != 0)
        found.end += sizeof(AttributesHeader) + (found.attribute_words - 1) * 4;
    return found;
}

template <class Form>
void Reader::read_head(Found& found) const {
    const auto inode = part_at<Form>(found.at);
    found.attribute_words = inode.attribute_words;
    found.block = inode.block;
    found.file = {.mode = inode.mode,
                  .uid = inode.uid,
                  .gid = inode.gid,
                  .links = inode.links,
                  .modified = time_of(found, inode),
                  .size = inode.size};
    if constexpr (std::is_same_v<Form, Inode>)
        if (inode.block_high != 0) found.refuse("its place is too far");
}

timespec Reader::time_of(const Found& found, const Inode& inode) {
    if (inode.nanoseconds >= 1'000'000'000) found.refuse("its time is none");
    return {inode.seconds, long(inode.nanoseconds)};
}

timespec Reader::time_of(const Found& found, const CompactInode& inode) const {
    int64_t seconds = 0;
    if (__builtin_add_overflow(super_.epoch, int64_t(inode.seconds), &seconds) ||
        super_.epoch_nanoseconds >= 1'000'000'000)
        found.refuse("its time is none");
    return {seconds, long(super_.epoch_nanoseconds)};
}

FileTree::Id Reader::make(const Found& found) {
    if (is_layer_ && claims_.size() == most_files)
        refuse("it has more than ", most_files, " files");
    check_layout(found);
    FileTree::File file = found.file;
    file.links = 0, file.size = 0;
    file.attributes = read_attributes(found);
    const bool is_directory = file.is_directory();
    const bool is_root = claims_.empty();
    const FileTree::Id id = is_root ? FileTree::root : make_file(found, file);
    if (is_root) tree_.describe(FileTree::root, file);
    ids_.set(found.number, id);
    claims_.push_back({found.number, found.file.links, is_directory,
                       is_directory && !found.is_extended && found.file.links == 1});
    directories_in_.push_back(0);
    if (is_directory) ahead_.push_back(found);
    return id;
}

FileTree::Id Reader::make_file(const Found& found, FileTree::File file) {
    switch (file.mode & S_IFMT) {
        case S_IFREG: return make_regular(found, file);
        case S_IFLNK: return tree_.make(file, link_target(found));
        case S_IFCHR:
        case S_IFBLK:
            file.place = makedev(found.block >> 8 & 0xfff,
                                 (found.block & 0xff) | (found.block >> 12 & 0xfff00));
            if (!is_layer_ && S_ISCHR(file.mode) && file.place == 0)
                found.refuse("it is what overlayfs hides files by");
    }
    return tree_.make(file);
}

// Attributes

uint32_t Reader::read_attributes(const Found& found) {
    if (found.attribute_words == 0) return 0;
    if (found.attribute_words == 1) found.refuse("its attributes have no size");
    uint64_t at = found.attributes_at;
    look_at(found, at, found.end - at, "list of attributes");
    const auto header = part_at<AttributesHeader>(at);
    at += sizeof header;
    if (header.shared * sizeof(uint32_t) > found.end - at)
        found.refuse("its attributes are too many");
    std::vector<uint32_t> numbers;
    for (unsigned i = 0; i < header.shared; ++i, at += sizeof(uint32_t))
        numbers.push_back(read_shared(found, part_at<uint32_t>(at)));
    while (at < found.end) {
        const Attribute attribute = read_attribute(found, at, found.end - at);
        numbers.push_back(attribute.number);
        at += attribute.size;
    }
    attributes_ += numbers.size();
    if (is_layer_ && attributes_ > most_attributes)
        refuse("its files have more than ", most_attributes, " attributes");
    const auto name_of = [&](uint32_t number) -> const std::string& {
        return tree_.attribute(number).name;
    };
    std::ranges::sort(numbers, {}, name_of);
    const auto twice = std::ranges::adjacent_find(numbers, {}, name_of);
    if (twice != numbers.end())
        found.refuse("it has twice the attribute ", quoted(name_of(*twice)));
    return tree_.attribute_set(std::move(numbers));
}

// However many files have it, it is read once.
uint32_t Reader::read_shared(const Found& found, uint32_t word) {
    const auto known = shared_.find(word);
    if (known != shared_.end()) return known->second;
    const uint64_t at = (uint64_t(super_.shared_block) << super_.block_bits) + uint64_t(word) * 4;
    if (!holds(at, 0)) found.refuse("a shared attribute is not there");
    const Attribute attribute = read_attribute(found, at, size_ - at);
    look_at(found, at, attribute.size, "shared attribute");
    shared_.emplace(word, attribute.number);
    return attribute.number;
}

Reader::Attribute Reader::read_attribute(const Found& found, uint64_t at, uint64_t most) {
    if (most < sizeof(AttributeEntry)) found.refuse("an attribute is cut off");
    const auto entry = part_at<AttributeEntry>(at);
    const uint64_t size = up_to(sizeof entry + uint64_t(entry.name_size) + entry.value_size, 4);
    if (size > most) found.refuse("an attribute is cut off");
    const auto prefix = std::ranges::find(prefixes, entry.prefix, &Prefix::number);
    if (prefix == std::end(prefixes) || prefix->is_whole != (entry.name_size == 0))
        found.refuse("an attribute has a name of an unknown form");
    at += sizeof entry;
    std::string name(prefix->text);
    name += bytes_at(at, entry.name_size);
    if (name.size() > XATTR_NAME_MAX || name.contains('\0'))
        found.refuse("an attribute has a name of an unknown form");
    if (!is_layer_ && is_foreign_xattr(name))
        found.refuse("it has the attribute ", quoted(name), ", which no image may have");
    std::string value = bytes_at(at + entry.name_size, entry.value_size);
    return {tree_.attribute_number(std::move(name), std::move(value)), size};
}

// Contents

void Reader::check_layout(const Found& found) const {
    const mode_t kind = found.file.mode & S_IFMT;
    const bool is_of_index = kind == S_IFDIR || kind == S_IFLNK;
    if (!is_of_index && kind != S_IFREG && found.file.size != 0)
        found.refuse("it has a content, but is a device or a pipe");
    if (found.layout == Layout::chunks && kind != S_IFREG)
        found.refuse("it has chunks, but is no file");
    if (found.layout != Layout::tail_inline || found.file.size == 0) return;
    if (!is_of_index && !is_layer_) found.refuse("its content lies in the index");
    const uint64_t tail = tail_of(found);
    if (tail == 0 || found.end % block_size() + tail > block_size())
        found.refuse("its last part is not in one block");
}

// All but what lies behind the inode.
Reader::Extent Reader::blocks_of_content(const Found& found) {
    const uint64_t size = found.file.size - tail_of(found);
    if (size == 0) return {};
    if (found.block > super_.blocks || blocks_of(size) > super_.blocks - found.block)
        found.refuse("its content is not there");
    const Extent blocks{uint64_t(found.block) << super_.block_bits, size};
    look_at(found, blocks.at, blocks.size, "content");
    return blocks;
}

Reader::Extent Reader::tail_of_content(const Found& found) {
    const Extent tail{found.end, tail_of(found)};
    look_at(found, tail.at, tail.size, "content");
    return tail;
}

std::string Reader::link_target(const Found& found) {
    if (found.file.size == 0 || found.file.size >= PATH_MAX)
        found.refuse("it is a link of ", found.file.size, " bytes");
    const Extent blocks = blocks_of_content(found), tail = tail_of_content(found);
    const std::string target = bytes_at(blocks.at, blocks.size) + bytes_at(tail.at, tail.size);
    if (target.contains('\0')) found.refuse("it is a link with a zero byte");
    return target;
}

FileTree::Id Reader::make_regular(const Found& found, FileTree::File file) {
    file.size = found.file.size;
    if (found.layout == Layout::chunks) return make_of_chunks(found, file);
    if (is_layer_) return make_with_tail(found, file);
    if (file.size != 0) {
        const Place place = place_of(found, found.block, file.size);
        file.tar = place.tar, file.place = place.at;
    }
    return tree_.make(file);
}

FileTree::Id Reader::make_with_tail(const Found& found, FileTree::File file) {
    const uint64_t tail = tail_of(found), size = file.size - tail;
    std::vector<Piece> pieces;
    if (size != 0) pieces.push_back({0, size, place_of(found, found.block, size).at});
    if (!holds(found.end, tail)) found.refuse("its content is not there");
    if (tail != 0) pieces.push_back({size, tail, found.end});
    return make_of_pieces(found, file, std::move(pieces));
}

// Where it is by a number that counts the blocks of all devices.
Reader::Place Reader::place_of(const Found& found, uint32_t block, uint64_t size) const {
    if (is_layer_) {
        if (block > super_.blocks || blocks_of(size) > super_.blocks - block)
            found.refuse("its content is not there");
        return {0, uint64_t(block) << super_.block_bits};
    }
    if (block < super_.blocks) found.refuse("its content lies in the index");
    const auto after = std::ranges::upper_bound(spaces_, block, {}, &Space::first);
    if (after == spaces_.begin()) found.refuse("its content lies in no device");
    const Space& space = *(after - 1);
    const uint64_t within = block - space.first;
    if (within > space.blocks || blocks_of(size) > space.blocks - within)
        found.refuse("its content goes beyond its device");
    return {space.tar, within << super_.block_bits};
}

Reader::Place Reader::place_of(const Found& found, const Chunk& chunk, uint64_t size) const {
    if (chunk.block_high != 0) found.refuse("its place is too far");
    if (chunk.device == 0) return place_of(found, chunk.block, size);
    const uint32_t tar = chunk.device - 1u;
    if (is_layer_ || tar >= tree_.tars().size()) found.refuse("its content lies in no device");
    const uint64_t blocks = tree_.tars()[tar].blocks >> (super_.block_bits - least_block_bits);
    if (chunk.block > blocks || blocks_of(size) > blocks - chunk.block)
        found.refuse("its content goes beyond its device");
    return {tar, uint64_t(chunk.block) << super_.block_bits};
}

FileTree::Id Reader::make_of_chunks(const Found& found, FileTree::File file) {
    if ((found.block & ~uint32_t(chunk_bits_mask | chunk_entries_are_wide)) != 0)
        found.refuse("its chunks are of an unknown form");
    if (file.size == 0) return tree_.make(file);
    const bool is_wide = (found.block & chunk_entries_are_wide) != 0;
    const unsigned bits = super_.block_bits + (found.block & chunk_bits_mask);
    const uint64_t unit = is_wide ? sizeof(Chunk) : sizeof(uint32_t);
    const uint64_t count = ((file.size - 1) >> bits) + 1, map = up_to(found.end, unit);
    if (count > size_) found.refuse("its map of chunks is not all there");
    look_at(found, map, count * unit, "map of chunks");

    std::vector<Piece> pieces;
    for (uint64_t i = 0; i < count; ++i) {
        const uint64_t offset = i << bits, size = std::min(uint64_t(1) << bits, file.size - offset);
        const Chunk chunk = is_wide ? part_at<Chunk>(map + i * unit)
                                    : Chunk{.block = part_at<uint32_t>(map + i * unit)};
        if (chunk.block == no_block) continue;
        const Place place = place_of(found, chunk, size);
        if (pieces.empty()) file.tar = place.tar;
        if (place.tar != file.tar) found.refuse("its pieces are not in one device");
        if (is_layer_ && ++pieces_ > most_pieces)
            refuse("its files are in more than ", most_pieces, " pieces");
        Piece* const last = pieces.empty() ? nullptr : &pieces.back();
        if (last && last->offset + last->size == offset && last->at + last->size == place.at)
            last->size += size;
        else
            pieces.push_back({offset, size, place.at});
    }
    return make_of_pieces(found, file, std::move(pieces));
}

FileTree::Id Reader::make_of_pieces(const Found& found, FileTree::File file,
                                    std::vector<Piece> pieces) {
    std::vector<TarEntry::Segment> segments;
    if (!pieces.empty()) file.place = pieces[0].at;
    uint64_t end = file.place;
    bool are_in_order = true;
    for (const Piece& piece : pieces) {
        are_in_order = are_in_order && piece.at == end;
        end = piece.at + piece.size;
        stored_ += piece.size;
        segments.push_back({piece.offset, piece.size});
    }
    if (is_layer_ && stored_ / most_uses > size_)
        refuse("its files hold more than ", most_uses, " times what is there");
    if (are_in_order) return tree_.make_sparse(file, segments);
    if (!is_layer_) found.refuse("its pieces are not one behind the other in one device");
    file.place = TarEntry::nowhere;
    const FileTree::Id id = tree_.make_sparse(file, segments);
    scattered_.emplace(id, std::move(pieces));
    return id;
}

// Directories

void Reader::read_directory(const Found& directory) {
    const FileTree::Id id = ids_[directory.number];
    last_name_.clear();
    has_self_ = has_parent_ = false;
    const Extent blocks = blocks_of_content(directory);
    for (uint64_t done = 0; done < blocks.size; done += block_size())
        read_block(directory, id,
                   bytes_at(blocks.at + done, std::min(block_size(), blocks.size - done)));
    const Extent tail = tail_of_content(directory);
    if (tail.size != 0) read_block(directory, id, bytes_at(tail.at, tail.size));
    if (!has_self_ || !has_parent_)
        directory.refuse("it has no entry for itself or for its parent");
}

void Reader::read_block(const Found& directory, FileTree::Id id, std::string_view block) {
    const auto entry_at = [&](size_t i) {
        DirectoryEntry entry;
        std::memcpy(&entry, block.data() + i * sizeof entry, sizeof entry);
        return entry;
    };
    if (block.size() < sizeof(DirectoryEntry)) directory.refuse("an entry is cut off");
    const size_t names_at = entry_at(0).name_at;
    if (names_at == 0 || names_at % sizeof(DirectoryEntry) != 0 || names_at >= block.size())
        directory.refuse("its names are not where they should be");
    const size_t count = names_at / sizeof(DirectoryEntry);
    for (size_t i = 0; i < count; ++i) {
        const DirectoryEntry entry = entry_at(i);
        const size_t begin = entry.name_at,
                     end = i + 1 < count ? entry_at(i + 1).name_at : block.size();
        if (begin < names_at || end < begin || end > block.size())
            directory.refuse("its names are not where they should be");
        std::string_view name = block.substr(begin, end - begin);
        if (i + 1 == count)
            name = name.substr(0, name.find('\0'));  // the rest of a block is filled
        add_entry(directory, id, name, entry);
    }
}

void Reader::add_entry(const Found& directory, FileTree::Id id, std::string_view name,
                       const DirectoryEntry& entry) {
    if (name.empty() || name.size() > longest_name || name.contains('/') || name.contains('\0'))
        directory.refuse("it has the entry ", quoted(name), ", which is no name");
    if (name <= last_name_) directory.refuse("its entry ", quoted(name), " is out of order");
    last_name_ = name;
    if (name == "." || name == "..") {
        const bool is_self = name == ".";
        const uint64_t wanted = is_self ? directory.number : claims_[tree_.parent(id)].number;
        if (entry.inode != wanted || entry.kind != kind_number(S_IFDIR))
            directory.refuse("its entry ", quoted(name), " leads elsewhere");
        (is_self ? has_self_ : has_parent_) = true;
        return;
    }
    const bool is_known = ids_.has(entry.inode);
    const FileTree::Id file = is_known ? ids_[entry.inode] : make(inode_at(entry.inode));
    const bool is_directory = tree_.file(file).is_directory();
    if (is_known && is_directory)
        directory.refuse("its entry ", quoted(name), " is a second name of the directory ",
                         uint64_t(entry.inode));
    if (entry.kind != kind_number(tree_.file(file).mode))
        directory.refuse("its entry ", quoted(name), " is of another kind than its inode");
    tree_.name(id, name, file);
    if (is_directory) ++directories_in_[id];
}

// Of a directory, its own entry and those of the directories in it to their parent count.
void Reader::check_links() const {
    for (FileTree::Id id = 0; id < claims_.size(); ++id) {
        const Claim& claim = claims_[id];
        const uint64_t links =
            claim.is_directory ? 2 + uint64_t(directories_in_[id]) : tree_.file(id).links;
        if (claim.links != links && !claim.is_uncounted)
            refuse("inode ", claim.number, ": it has ", links, " links, but says ", claim.links);
    }
}

}  // namespace
}  // namespace erofs

FileTree read_erofs(std::span<const std::byte> index) {
    const auto read = [&](uint64_t at, std::span<char> to) {
        if (!to.empty()) std::memcpy(to.data(), index.data() + at, to.size());
    };
    return context("EROFS index", [&] {
        return erofs::Reader(erofs::Kind::index, index.size(), read).read().tree;
    });
}

erofs::LayerTree read_erofs_layer(uint64_t size, const erofs::ReadAt& read) {
    return context("EROFS image",
                   [&] { return erofs::Reader(erofs::Kind::layer, size, read).read(); });
}
