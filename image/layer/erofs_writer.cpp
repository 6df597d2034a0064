// What is hard here: everything has a place before anything is written, and places depend on each
// other. An inode's number is where it lies; a directory names inodes by their numbers; the last
// part of a directory lies behind its inode, within one block, and so moves those that follow.
// But how long a directory is depends on its names alone. So the plan goes through the tree once,
// inodes one behind the other, and then knows where the blocks of directories and the attributes
// that many files share begin. Writing is one pass over that plan, front to back.
//
//   superblock, devices | inodes, each with its attributes and its tail or map | blocks | shared
//
// The blocks are those of directories and links that are longer than what lies behind their inode.
// All inodes are of the long form: before 6.15 the kernel does not read the times of the short one.
//
// An image that stands alone is the same with larger blocks, no devices, and the contents behind
// it. There a hole that begins or ends within a block is none: what is around it fills the block.
#include "image/layer/erofs_writer.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/sys.h"
#include "image/digest.h"
#include "image/layer/erofs_format.h"

namespace erofs {
namespace {

// Of an index, in which contents lie where a tar has them.
constexpr unsigned index_block_bits = 9;
static_assert(tar_block_size == 1 << index_block_bits);
// Of an image: no machine has smaller pages, and before 6.4 a kernel takes no other blocks.
constexpr unsigned image_block_bits = 12;
constexpr uint64_t least_size = 4096;  // Linux 7.3 mounts no file that is shorter than a page
constexpr unsigned most_chunk_bits = 31;
constexpr uint64_t most_chunks = uint64_t(1) << 21;  // of all files: 16 MiB of the index
constexpr uint64_t most_attribute_words = 65535;
constexpr size_t most_shared = 255;

struct Unsayable {
    std::string reason;
};

// How an attribute is written.
struct Encoding {
    uint8_t prefix;
    std::string_view name;  // what follows the prefix

    static Encoding of(const FileTree::Attribute& attribute) {
        for (const Prefix& prefix : prefixes)
            if (prefix.is_whole ? attribute.name == prefix.text
                                : attribute.name.starts_with(prefix.text))
                return {prefix.number, std::string_view(attribute.name).substr(prefix.text.size())};
        throw Unsayable{str("the attribute ", quoted(attribute.name))};
    }
};

struct PlannedAttribute {
    uint32_t uses = 0;
    uint64_t size = 0;                    // as an entry
    std::optional<uint32_t> shared = {};  // its number there, in words from the area's begin
};

// The attributes of some files.
struct PlannedSet {
    uint32_t uses = 0;
    std::vector<uint32_t> shared, own;
    uint64_t size = 0;  // behind the inode
};

struct PlannedFile {
    FileTree::Id id;
    Layout layout = Layout::plain;
    uint64_t at = 0;                  // its inode's position
    uint64_t size = 0;                // of its content
    uint32_t tail = 0;                // bytes of it behind the inode
    uint64_t block = 0;               // where the rest is, or how large the chunks are
    uint64_t content = 0;             // in an image: the block where a file's content begins
    uint64_t first = 0, entries = 0;  // a directory's, in Plan::entries
    std::vector<TarEntry::Segment> stored = {};  // of a file in an image: what is no hole
};

// A directory's entries block by block, with how much of the block they fill.
template <class Take>
void each_block(std::span<const FileTree::Entry> entries, uint64_t block_size, Take&& take) {
    size_t first = 0;
    uint64_t used = 0;
    for (size_t i = 0; i < entries.size(); ++i) {
        const uint64_t size = sizeof(DirectoryEntry) + entries[i].name.size();
        if (used + size > block_size) {
            take(entries.subspan(first, i - first), used);
            first = i, used = 0;
        }
        used += size;
    }
    take(entries.subspan(first), used);
}

enum class Form { index, image };

class Plan {
public:
    Plan(const FileTree& tree, Form form)
        : tree_(tree), is_image_(form == Form::image),
          block_bits_(is_image_ ? image_block_bits : index_block_bits) {
        plan_devices();
        list_files();
        plan_attributes();
        place_inodes();
        place_blocks();
        if (is_image_) place_contents();
        check_total();
    }

    const FileTree& tree() const { return tree_; }
    bool is_image() const { return is_image_; }
    unsigned block_bits() const { return block_bits_; }
    uint64_t block_size() const { return uint64_t(1) << block_bits_; }
    uint64_t blocks() const { return end_ / block_size(); }
    uint64_t content_blocks() const { return content_blocks_; }  // behind these, of an image
    uint64_t first_block(uint32_t tar) const { return blocks() + tars_before_[tar]; }
    uint64_t inode_number(FileTree::Id id) const { return numbers_[id]; }
    uint64_t shared_at() const { return shared_at_; }
    uint32_t shared_word(uint32_t attribute) const { return *attributes_[attribute].shared; }
    const PlannedSet& set_of(const FileTree::File& file) const { return sets_[file.attributes]; }
    std::span<const FileTree::Entry> entries(const PlannedFile& directory) const {
        return std::span(entries_).subspan(directory.first, directory.entries);
    }
    const std::vector<PlannedFile>& files() const { return files_; }
    const std::vector<uint32_t>& shared() const { return shared_; }
    bool has_chunks() const { return chunks_ != 0; }

private:
    void plan_devices();
    void list_files();
    void list_entries(PlannedFile& directory);
    void plan_attributes();
    void choose_shared();
    void place_inodes();
    void plan_content(PlannedFile& file);
    void plan_regular(PlannedFile& file);
    void plan_in_tar(const PlannedFile& planned, const FileTree::File& file) const;
    void plan_in_image(PlannedFile& planned, const FileTree::File& file) const;
    void plan_chunks(PlannedFile& planned, std::span<const TarEntry::Segment> stored);
    [[noreturn]] void cannot(const char* what, const PlannedFile& planned) const {
        throw Unsayable{str(what, " of ", quoted(path_of(planned.id)))};
    }
    void place(PlannedFile& file);
    void place_blocks();
    void place_contents();
    void check_total() const;
    std::string path_of(FileTree::Id wanted) const;

    const FileTree& tree_;
    const bool is_image_;
    const unsigned block_bits_;
    std::vector<uint64_t> tars_before_;  // the blocks of all tars before each
    uint64_t tar_blocks_ = 0;
    std::vector<FileTree::Entry> entries_;
    std::vector<PlannedFile> files_;  // in the order of their inodes
    std::vector<uint32_t> numbers_;   // by id
    std::vector<PlannedAttribute> attributes_;
    std::vector<PlannedSet> sets_;
    std::vector<uint32_t> shared_;
    uint64_t chunks_ = 0, end_ = 0, shared_at_ = 0, content_blocks_ = 0;
};

void Plan::plan_devices() {
    if (is_image_) {
        end_ = superblock_at + sizeof(Superblock);
        return;
    }
    for (const FileTree::Tar& tar : tree_.tars()) {
        tars_before_.push_back(tar_blocks_);
        if ((tar_blocks_ += tar.blocks) >> 32 != 0 || tar.blocks >> 32 != 0)
            throw Unsayable{"tars of more than 2 TiB"};
    }
    end_ = superblock_at + sizeof(Superblock) + tars_before_.size() * sizeof(Device);
    // The superblock has 16 bits for the root's number, and as many for how many devices there are.
    if (end_ / inode_slot >= 65535) throw Unsayable{str(tars_before_.size(), " layers")};
}

// Directory by directory, each one's files one behind the other: who lists it looks at them next.
void Plan::list_files() {
    constexpr uint32_t unlisted = FileTree::none;
    numbers_.assign(tree_.size(), unlisted);
    std::vector<uint32_t> ahead;  // directories, by their places in files_
    const auto list = [&](FileTree::Id id) {
        numbers_[id] = uint32_t(files_.size());
        files_.push_back({.id = id});
    };
    list(FileTree::root);
    ahead.push_back(0);
    while (!ahead.empty()) {
        const uint32_t place = ahead.back();
        ahead.pop_back();
        list_entries(files_[place]);
        const PlannedFile directory = files_[place];
        for (const auto& [name, id] : entries(directory))
            if (numbers_[id] == unlisted) list(id);
        for (size_t i = directory.entries; i-- > 0;) {
            const auto& [name, id] = entries_[directory.first + i];
            if (tree_.file(id).is_directory() && name != "." && name != "..")
                ahead.push_back(numbers_[id]);
        }
    }
}

void Plan::list_entries(PlannedFile& directory) {
    std::vector<FileTree::Entry> all = tree_.entries(directory.id);
    for (const FileTree::Entry& own :
         {FileTree::Entry{".", directory.id}, FileTree::Entry{"..", tree_.parent(directory.id)}})
        all.insert(std::ranges::upper_bound(all, own.name, {}, &FileTree::Entry::name), own);
    directory.first = entries_.size(), directory.entries = all.size();
    entries_.insert(entries_.end(), all.begin(), all.end());
}

// Attributes

void Plan::plan_attributes() {
    attributes_.resize(tree_.attribute_count());
    for (const PlannedFile& file : files_) {
        const uint32_t number = tree_.file(file.id).attributes;
        if (sets_.size() <= number) sets_.resize(number + 1);
        ++sets_[number].uses;
    }
    for (const PlannedFile& planned : files_) {
        const FileTree::File& file = tree_.file(planned.id);
        for (const uint32_t number : tree_.attributes(file)) {
            PlannedAttribute& attribute = attributes_[number];
            ++attribute.uses;
            if (attribute.size != 0) continue;
            const FileTree::Attribute& said = tree_.attribute(number);
            const Encoding encoding = Encoding::of(said);
            if (encoding.name.size() > 255 || said.value.size() > 65535)
                throw Unsayable{str("an attribute of ", said.value.size(), " bytes of ",
                                    quoted(path_of(planned.id)))};
            attribute.size =
                up_to(sizeof(AttributeEntry) + encoding.name.size() + said.value.size(), 4);
        }
    }
    choose_shared();
}

// Shared is what takes less room so: a word in each file that has it.
void Plan::choose_shared() {
    uint64_t words = 0;
    for (const PlannedFile& planned : files_) {
        const FileTree::File& file = tree_.file(planned.id);
        PlannedSet& set = sets_[file.attributes];
        if (file.attributes == 0 || set.size != 0) continue;
        set.size = sizeof(AttributesHeader);
        for (const uint32_t number : tree_.attributes(file)) {
            PlannedAttribute& attribute = attributes_[number];
            const bool pays = attribute.uses * attribute.size > attribute.size + attribute.uses * 4;
            if (!pays || set.shared.size() == most_shared) {
                set.own.push_back(number), set.size += attribute.size;
                continue;
            }
            if (!attribute.shared) {
                attribute.shared = uint32_t(words);
                shared_.push_back(number);
                words += attribute.size / 4;
            }
            set.shared.push_back(number), set.size += 4;
        }
        if (1 + (set.size - sizeof(AttributesHeader)) / 4 > most_attribute_words)
            throw Unsayable{
                str("attributes of ", set.size, " bytes of ", quoted(path_of(planned.id)))};
    }
    shared_at_ = words;  // how long it is, until the place is known
}

// Inodes

void Plan::place_inodes() {
    for (PlannedFile& file : files_) {
        plan_content(file);
        place(file);
    }
    for (const PlannedFile& file : files_) numbers_[file.id] = uint32_t(file.at / inode_slot);
}

void Plan::plan_content(PlannedFile& file) {
    const FileTree::File& said = tree_.file(file.id);
    if (S_ISREG(said.mode)) return plan_regular(file);
    if (S_ISLNK(said.mode)) file.size = said.size;
    if (said.is_directory())
        each_block(entries(file), block_size(), [&](const auto&, uint64_t used) {
            file.size = up_to(file.size, block_size()) + used;
        });
    file.tail = uint32_t(file.size % block_size());
}

void Plan::plan_regular(PlannedFile& planned) {
    const FileTree::File& file = tree_.file(planned.id);
    planned.size = file.size;
    if (file.size == 0) return;
    if (is_image_) {
        plan_in_image(planned, file);
        if (tree_.segments(file)) plan_chunks(planned, planned.stored);
    } else {
        if (const auto segments = tree_.segments(file)) plan_chunks(planned, *segments);
        plan_in_tar(planned, file);
    }
}

void Plan::plan_in_tar(const PlannedFile& planned, const FileTree::File& file) const {
    const auto segments = tree_.segments(file);
    uint64_t stored = segments ? 0 : file.size;
    for (const TarEntry::Segment& segment : segments.value_or(std::span<TarEntry::Segment>{}))
        stored += segment.size;
    const uint64_t blocks = tree_.tars()[file.tar].blocks, first = file.place / block_size();
    if (stored != 0 && (file.place % block_size() != 0 || first > blocks ||
                        up_to(stored, block_size()) / block_size() > blocks - first))
        cannot("the place in its tar", planned);
}

// Whole blocks of it, but for its end.
void Plan::plan_in_image(PlannedFile& planned, const FileTree::File& file) const {
    if (file.place == TarEntry::nowhere) cannot("the places of the pieces", planned);
    const auto segments = tree_.segments(file);
    if (!segments) {
        planned.stored.push_back({0, file.size});
        return;
    }
    for (const auto& [offset, size] : *segments) {
        const uint64_t begin = offset / block_size() * block_size(),
                       end = std::min(up_to(offset + size, block_size()), file.size);
        TarEntry::Segment* const last = planned.stored.empty() ? nullptr : &planned.stored.back();
        if (last && begin <= last->offset + last->size)
            last->size = end - last->offset;
        else
            planned.stored.push_back({begin, end - begin});
    }
}

// The largest chunks that have no piece's begin or end in them.
void Plan::plan_chunks(PlannedFile& planned, std::span<const TarEntry::Segment> stored) {
    unsigned bits = block_bits_ + most_chunk_bits;
    for (const auto& [offset, size] : stored) {
        const bool ends_file = offset + size == planned.size;
        for (const uint64_t border : {offset, ends_file ? 0 : offset + size})
            if (border != 0) bits = std::min(bits, unsigned(std::countr_zero(border)));
    }
    if (bits < block_bits_) cannot("a hole that begins or ends within a block", planned);
    planned.layout = Layout::chunks;
    planned.block = bits - block_bits_;
    const uint64_t count = ((planned.size - 1) >> bits) + 1;
    if (count > most_chunks || (chunks_ += count) > most_chunks)
        cannot("the number of holes", planned);
}

void Plan::place(PlannedFile& file) {
    const uint64_t head = sizeof(Inode) + set_of(tree_.file(file.id)).size;
    file.at = up_to(end_, inode_slot);
    if (file.layout == Layout::chunks) {
        end_ = up_to(file.at + head, sizeof(Chunk)) +
               (((file.size - 1) >> (file.block + block_bits_)) + 1) * sizeof(Chunk);
        return;
    }
    if (file.tail != 0) {
        // A tail lies in one block. Either the inode moves until it does, or it has a block of its
        // own: what wastes less.
        uint64_t moved = file.at;
        const auto crosses = [&] {
            return (moved + head) % block_size() + file.tail > block_size();
        };
        while (crosses() && moved - file.at < block_size()) moved += inode_slot;
        if (!crosses() && moved - file.at <= block_size() - file.tail)
            file.at = moved, file.layout = Layout::tail_inline;
        else
            file.tail = 0;
    }
    end_ = file.at + head + file.tail;
}

void Plan::place_blocks() {
    end_ = up_to(end_, block_size());
    for (PlannedFile& file : files_) {
        const uint64_t size = file.size - file.tail;
        if (S_ISREG(tree_.file(file.id).mode) || size == 0) continue;
        file.block = end_ / block_size();
        end_ += up_to(size, block_size());
    }
    const uint64_t words = std::exchange(shared_at_, end_);
    end_ = std::max(up_to(end_ + words * 4, block_size()), least_size);
}

// Of files, in their order, one behind the other.
void Plan::place_contents() {
    for (PlannedFile& file : files_) {
        if (file.stored.empty()) continue;
        file.content = blocks() + content_blocks_;
        if (file.layout != Layout::chunks) file.block = file.content;
        for (const TarEntry::Segment& piece : file.stored)
            content_blocks_ += up_to(piece.size, block_size()) / block_size();
    }
}

void Plan::check_total() const {
    if ((blocks() + content_blocks_ + tar_blocks_) >> 32 != 0)
        throw Unsayable{"tars of more than 2 TiB"};
    if (files_.back().at / inode_slot >= FileTree::none) throw Unsayable{"so many files"};
}

// For a message: by looking at all names.
std::string Plan::path_of(FileTree::Id wanted) const {
    std::vector<std::pair<FileTree::Id, std::string_view>> names(tree_.size());
    for (const PlannedFile& file : files_)
        for (const auto& [name, id] : entries(file))
            if (name != "." && name != "..") names[id] = {file.id, name};
    std::vector<std::string> parts;
    for (; wanted != FileTree::root; wanted = names[wanted].first)
        parts.emplace_back(names[wanted].second);
    std::ranges::reverse(parts);
    return parts.empty() ? "/" : join(parts, "/");
}

// The bytes, one behind the other, through a buffer of fixed size.
class Output {
public:
    using Sink = std::function<void(std::string_view)>;
    Output(const Sink& sink, uint64_t block_size)
        : sink_(sink),
          seal_end_(block_size > superblock_at ? block_size : superblock_at + block_size) {
        buffer_.reserve(capacity);
    }

    template <class Part>
    void put(const Part& part) {
        put_bytes({reinterpret_cast<const char*>(&part), sizeof part});
    }
    void put_bytes(std::string_view bytes) {
        if (buffer_.size() + bytes.size() > capacity) flush();
        buffer_ += bytes;
        position_ += bytes.size();
    }
    static constexpr size_t most_piece = size_t(256) << 10;
    void fill_to(uint64_t position) {
        static constexpr char zeros[4096] = {};
        while (position_ < position)
            put_bytes({zeros, size_t(std::min<uint64_t>(position - position_, sizeof zeros))});
    }
    uint64_t position() const { return position_; }

    void flush() {
        if (position_ == buffer_.size()) seal();
        sink_(buffer_);
        buffer_.clear();
    }

private:
    static constexpr size_t capacity = most_piece;

    // The superblock's block has a checksum in it.
    void seal() {
        const std::string_view block =
            std::string_view(buffer_).substr(superblock_at, seal_end_ - superblock_at);
        const uint32_t sum = checksum(block);
        std::memcpy(buffer_.data() + superblock_at + offsetof(Superblock, checksum), &sum,
                    sizeof sum);
    }

    const Sink& sink_;
    uint64_t seal_end_;
    std::string buffer_;
    uint64_t position_ = 0;
};

class Writer {
public:
    Writer(const Plan& plan, const Output::Sink& sink)
        : plan_(plan), tree_(plan.tree()), out_(sink, plan.block_size()) {}

    void write() {
        superblock();
        devices();
        for (const PlannedFile& file : plan_.files()) inode(file);
        for (const PlannedFile& file : plan_.files()) blocks(file);
        shared();
        out_.fill_to(plan_.blocks() * plan_.block_size());
    }
    void write_contents(const ReadTar& read) {
        for (const PlannedFile& file : plan_.files()) contents(file, read);
    }
    void finish() { out_.flush(); }

private:
    void superblock();
    void devices();
    void inode(const PlannedFile& planned);
    void attributes(const FileTree::File& file);
    void attribute(uint32_t number);
    void chunks(const PlannedFile& planned);
    void blocks(const PlannedFile& planned);
    void contents(const PlannedFile& planned, const ReadTar& read);
    void content(const PlannedFile& planned, uint64_t begin, uint64_t end);
    void directory(const PlannedFile& planned, uint64_t begin, uint64_t end);
    void directory_block(std::span<const FileTree::Entry> entries);
    void shared();

    const Plan& plan_;
    const FileTree& tree_;
    Output out_;
};

// Of what is in it, so that two indexes that are mounted together have two.
std::array<uint8_t, 16> uuid_of(const FileTree& tree) {
    Hasher hasher;
    hasher.field("keg's index, version 1");
    for (const FileTree::Tar& tar : tree.tars()) hasher.field(tar.tag);
    const std::string hex = hasher.finish().hex();
    std::array<uint8_t, 16> uuid;
    for (size_t i = 0; i < uuid.size(); ++i)
        uuid[i] = *parse_number<uint8_t>(std::string_view(hex).substr(2 * i, 2), 16);
    uuid[6] = uint8_t(0x80 | (uuid[6] & 0x0f));  // RFC 9562: version 8, made by rules of one's own
    uuid[8] = uint8_t(0x80 | (uuid[8] & 0x3f));
    return uuid;
}

void Writer::superblock() {
    const size_t devices = plan_.is_image() ? 0 : tree_.tars().size();
    out_.fill_to(superblock_at);
    out_.put(Superblock{
        .magic = magic,
        .compatible = has_checksum | has_times,
        .block_bits = uint8_t(plan_.block_bits()),
        .root = uint16_t(plan_.inode_number(FileTree::root)),
        .inodes = plan_.files().size(),
        .blocks = uint32_t(plan_.blocks() + plan_.content_blocks()),
        .shared_block =
            plan_.shared().empty() ? 0 : uint32_t(plan_.shared_at() / plan_.block_size()),
        .uuid = uuid_of(tree_),
        .incompatible =
            (devices == 0 ? 0 : device_table) | (plan_.has_chunks() ? chunked_files : 0),
        .devices = uint16_t(devices),
        .device_slot =
            uint16_t(devices == 0 ? 0 : (superblock_at + sizeof(Superblock)) / sizeof(Device)),
    });
}

void Writer::devices() {
    if (plan_.is_image()) return;
    for (uint32_t i = 0; i < tree_.tars().size(); ++i) {
        const FileTree::Tar& tar = tree_.tars()[i];
        Device device{.blocks = uint32_t(tar.blocks),
                      .first_block = uint32_t(plan_.first_block(i))};
        tar.tag.copy(device.tag.data(), device.tag.size());
        out_.put(device);
    }
}

uint32_t device_number(dev_t device) {
    const unsigned high = major(device), low = minor(device);
    return (low & 0xff) | high << 8 | (low & ~0xffu) << 12;
}

void Writer::inode(const PlannedFile& planned) {
    const FileTree::File& file = tree_.file(planned.id);
    const uint64_t attributes_size = plan_.set_of(file).size;
    Inode inode{
        .format = uint16_t(extended | uint16_t(planned.layout) << 1),
        .attribute_words = uint16_t(
            attributes_size == 0 ? 0 : 1 + (attributes_size - sizeof(AttributesHeader)) / 4),
        .mode = uint16_t(file.mode),
        .size = planned.size,
        .block = uint32_t(planned.block),
        .number = uint32_t(&planned - plan_.files().data() + 1),
        .uid = file.uid,
        .gid = file.gid,
        .seconds = file.modified.tv_sec,
        .nanoseconds = uint32_t(file.modified.tv_nsec),
        .links = file.links};
    if (file.is_directory())  // "." names it as well, and as many ".." as it has directories
        inode.links = uint32_t(
            std::ranges::count_if(plan_.entries(planned), [&](const FileTree::Entry& entry) {
                return tree_.file(entry.file).is_directory();
            }));
    if (S_ISCHR(file.mode) || S_ISBLK(file.mode)) inode.block = device_number(file.place);
    if (planned.layout == Layout::chunks)
        inode.block |= chunk_entries_are_wide;
    else if (S_ISREG(file.mode) && file.size != 0 && !plan_.is_image())
        inode.block = uint32_t(plan_.first_block(file.tar) + file.place / plan_.block_size());
    out_.fill_to(planned.at);
    out_.put(inode);
    if (attributes_size != 0) attributes(file);
    if (planned.layout == Layout::chunks) chunks(planned);
    if (planned.tail != 0) content(planned, planned.size - planned.tail, planned.size);
}

void Writer::attributes(const FileTree::File& file) {
    const PlannedSet& set = plan_.set_of(file);
    out_.put(AttributesHeader{.shared = uint8_t(set.shared.size())});
    for (const uint32_t number : set.shared) out_.put(plan_.shared_word(number));
    for (const uint32_t number : set.own) attribute(number);
}

void Writer::attribute(uint32_t number) {
    const FileTree::Attribute& said = tree_.attribute(number);
    const Encoding encoding = Encoding::of(said);
    out_.put(AttributeEntry{uint8_t(encoding.name.size()), encoding.prefix,
                            uint16_t(said.value.size())});
    out_.put_bytes(encoding.name);
    out_.put_bytes(said.value);
    out_.fill_to(up_to(out_.position(), 4));
}

void Writer::chunks(const PlannedFile& planned) {
    const FileTree::File& file = tree_.file(planned.id);
    out_.fill_to(up_to(out_.position(), sizeof(Chunk)));
    const std::span<const TarEntry::Segment> stored =
        plan_.is_image() ? std::span<const TarEntry::Segment>(planned.stored)
                         : *tree_.segments(file);
    const auto device = uint16_t(plan_.is_image() ? 0 : file.tar + 1);
    auto next = stored.begin();
    uint64_t at = plan_.is_image() ? planned.content * plan_.block_size() : file.place;  // of *next
    for (uint64_t offset = 0; offset < file.size;
         offset += uint64_t(1) << (planned.block + plan_.block_bits())) {
        while (next != stored.end() && next->offset + next->size <= offset)
            at += next->size, ++next;
        if (next == stored.end() || offset < next->offset)
            out_.put(Chunk{.block = no_block});
        else
            out_.put(Chunk{.device = device,
                           .block = uint32_t((at + offset - next->offset) / plan_.block_size())});
    }
}

void Writer::blocks(const PlannedFile& planned) {
    if (S_ISREG(tree_.file(planned.id).mode) || planned.size == planned.tail) return;
    out_.fill_to(planned.block * plan_.block_size());
    content(planned, 0, planned.size - planned.tail);
}

// What is stored, with zeros where the tar has a hole in a block.
void Writer::contents(const PlannedFile& planned, const ReadTar& read) {
    if (planned.stored.empty()) return;
    const FileTree::File& file = tree_.file(planned.id);
    const TarEntry::Segment whole{0, file.size};
    const auto segments = tree_.segments(file).value_or(std::span(&whole, 1));
    uint64_t base = planned.content * plan_.block_size(), at = file.place;
    auto segment = segments.begin();
    std::string buffer;
    for (const auto& [offset, size] : planned.stored) {
        for (; segment != segments.end() && segment->offset < offset + size; ++segment) {
            out_.fill_to(base + segment->offset - offset);
            for (uint64_t left = segment->size; left > 0;) {
                buffer.resize(std::min<uint64_t>(left, Output::most_piece));
                read(file.tar, at, buffer);
                out_.put_bytes(buffer);
                at += buffer.size(), left -= buffer.size();
            }
        }
        base += up_to(size, plan_.block_size());
        out_.fill_to(base);
    }
}

void Writer::content(const PlannedFile& planned, uint64_t begin, uint64_t end) {
    const FileTree::File& file = tree_.file(planned.id);
    if (file.is_directory()) return directory(planned, begin, end);
    out_.put_bytes(tree_.target(file).substr(begin, end - begin));
}

// The blocks between the two places.
void Writer::directory(const PlannedFile& planned, uint64_t begin, uint64_t end) {
    const uint64_t out_at = out_.position();
    uint64_t block = 0;
    each_block(plan_.entries(planned), plan_.block_size(),
               [&](std::span<const FileTree::Entry> entries, uint64_t) {
                   if (block >= begin && block < end) {
                       out_.fill_to(out_at + block - begin);
                       directory_block(entries);
                   }
                   block += plan_.block_size();
               });
}

void Writer::directory_block(std::span<const FileTree::Entry> entries) {
    uint64_t name_at = entries.size() * sizeof(DirectoryEntry);
    for (const auto& [name, id] : entries) {
        out_.put(DirectoryEntry{.inode = plan_.inode_number(id),
                                .name_at = uint16_t(name_at),
                                .kind = kind_number(tree_.file(id).mode)});
        name_at += name.size();
    }
    for (const auto& [name, id] : entries) out_.put_bytes(name);
}

void Writer::shared() {
    out_.fill_to(plan_.shared_at());
    for (const uint32_t number : plan_.shared()) attribute(number);
}

}  // namespace
}  // namespace erofs

std::expected<uint64_t, std::string> write_erofs(const FileTree& tree, int fd) try {
    const erofs::Plan plan(tree, erofs::Form::index);
    const erofs::Output::Sink sink = [fd](std::string_view bytes) { sys::write_all(fd, bytes); };
    erofs::Writer writer(plan, sink);
    writer.write();
    writer.finish();
    return plan.blocks() * plan.block_size();
} catch (const erofs::Unsayable& unsayable) {
    return std::unexpected(unsayable.reason);
}

void write_erofs_image(const FileTree& tree, const ReadTar& read,
                       const std::function<void(std::string_view)>& sink) try {
    const erofs::Plan plan(tree, erofs::Form::image);
    erofs::Writer writer(plan, sink);
    writer.write();
    writer.write_contents(read);
    writer.finish();
} catch (const erofs::Unsayable& unsayable) {
    throw Error("an EROFS image cannot say ", unsayable.reason);
}
