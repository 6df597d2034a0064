// What is hard here is that a tree has no order and a layer has: what hides comes before what it
// must not hide, a directory before its files, a file before its other names. And that words which
// mean something to overlayfs must mean the same here, or nothing may come of them: a directory
// that was moved (redirect), contents that are elsewhere (metacopy) and whiteouts of other forms
// are refused, since a reader that overlooks them sees other files.
#include "image/layer/erofs_layer.h"

#include <linux/limits.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/sys.h"
#include "image/layer/erofs_format.h"

namespace {

constexpr std::string_view mark_prefix = ".wh.";
constexpr uint64_t most_letters = uint64_t(1) << 30;  // of all paths

template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
    throw Error("EROFS image: ", parts...);
}

// Gives how much there was.
size_t read_at(int fd, uint64_t at, std::span<char> to) {
    size_t have = 0;
    while (have < to.size()) {
        const ssize_t got = ::pread(fd, to.data() + have, to.size() - have, off_t(at + have));
        if (got < 0 && errno == EINTR) continue;
        check(got, "read the image");
        if (got == 0) break;
        have += size_t(got);
    }
    return have;
}

// An image's names and looks lie in few places, which are read page by page; some are kept.
class Pages {
public:
    explicit Pages(int fd) : fd_(fd), pages_(slots) {}

    void read(uint64_t at, std::span<char> to) {
        while (!to.empty()) {
            const std::string& page = page_at(at / page_size);
            const size_t within = at % page_size;
            if (within >= page.size()) refuse("it has become shorter");
            const size_t count = std::min(to.size(), page.size() - within);
            std::memcpy(to.data(), page.data() + within, count);
            at += count, to = to.subspan(count);
        }
    }

private:
    static constexpr size_t page_size = size_t(16) << 10, slots = 64;
    struct Page {
        uint64_t number = UINT64_MAX;
        std::string bytes = {};
    };

    const std::string& page_at(uint64_t number) {
        Page& page = pages_[number % slots];
        if (page.number == number) return page.bytes;
        page.number = UINT64_MAX;
        page.bytes.resize(page_size);
        page.bytes.resize(read_at(fd_, number * page_size, page.bytes));
        page.number = number;
        return page.bytes;
    }

    int fd_;
    std::vector<Page> pages_;
};

erofs::LayerTree read_layer(int fd) {
    Pages pages(fd);
    return read_erofs_layer(uint64_t(sys::fstat(fd).st_size),
                            [&](uint64_t at, std::span<char> to) { pages.read(at, to); });
}

TarEntry::Type entry_type(uint32_t mode) {
    if (S_ISSOCK(mode)) throw Error("a socket cannot be in a layer");
    return tar_type(mode);
}

}  // namespace

bool is_erofs(std::string_view head) {
    if (head.size() < erofs_head_size) return false;
    uint32_t magic = 0;
    std::memcpy(&magic, head.data() + erofs::superblock_at, sizeof magic);
    const auto before = head.substr(0, erofs::superblock_at);
    return magic == erofs::magic && before.find_first_not_of('\0') == std::string_view::npos;
}

bool is_erofs(int fd) {
    std::array<char, erofs_head_size> head;
    return is_erofs(std::string_view(head.data(), read_at(fd, 0, head)));
}

ErofsLayer::ErofsLayer(int fd) : fd_(fd) {
    if (!is_erofs(fd)) refuse("it is none");
    layer_ = read_layer(fd);
}

const TarEntry* ErofsLayer::next() {
    pieces_.clear();
    if (!std::exchange(has_begun_, true)) {
        const bool is_opaque = context(
            "EROFS image: \"/\"", [&] { return describe(layer_.tree.file(FileTree::root), "./"); });
        enter(FileTree::root, is_opaque);
        return &entry_;
    }
    while (!levels_.empty()) {
        Level& level = levels_.back();
        if (std::exchange(level.is_opaque, false)) return tell_mark(".wh..wh..opq");
        if (level.next < level.entries.size()) return tell(level.entries[level.next++]);
        levels_.pop_back();
        if (!levels_.empty()) path_.resize(path_.rfind('/', path_.size() - 2) + 1);
    }
    return nullptr;
}

// Its path_ is there.
void ErofsLayer::enter(FileTree::Id directory, bool is_opaque) {
    Level level{
        .directory = directory, .entries = layer_.tree.entries(directory), .is_opaque = is_opaque};
    std::ranges::stable_partition(
        level.entries, [&](const FileTree::Entry& named) { return is_whiteout(named.file); });
    levels_.push_back(std::move(level));
}

bool ErofsLayer::is_whiteout(FileTree::Id id) const {
    const FileTree::File& file = layer_.tree.file(id);
    return S_ISCHR(file.mode) && file.place == 0;
}

const TarEntry* ErofsLayer::tell_mark(std::string_view name) {
    entry_ = {.name = str(path_, name)};
    return &entry_;
}

const TarEntry* ErofsLayer::tell(const FileTree::Entry& named) {
    std::string path = str(path_, named.name);
    if (path.size() >= PATH_MAX || (letters_ += path.size()) > most_letters)
        refuse("its paths are too long");
    return context(str("EROFS image: ", quoted(path)), [&]() -> const TarEntry* {
        if (named.name.starts_with(mark_prefix))
            throw Error("a name that begins so is a mark, and none of an image");
        if (is_whiteout(named.file)) return tell_mark(str(mark_prefix, named.name));
        const FileTree::File& file = layer_.tree.file(named.file);
        if (!file.is_directory() && file.links > 1) {
            const auto [first, is_new] = named_.try_emplace(named.file, path);
            if (!is_new) {
                entry_ = {.type = TarEntry::Type::hard_link, .name = path, .target = first->second};
                return &entry_;
            }
        }
        const bool is_opaque = describe(file, std::move(path));
        if (file.is_directory()) {
            path_ += str(named.name, "/");
            enter(named.file, is_opaque);
        } else if (is_opaque) {
            throw Error("it is opaque, but no directory");
        }
        if (S_ISREG(file.mode)) find_content(named.file);
        return &entry_;
    });
}

// Gives whether it is opaque.
bool ErofsLayer::describe(const FileTree::File& file, std::string path) {
    entry_ = {.type = entry_type(file.mode),
              .name = std::move(path),
              .mode = file.mode & 07777,
              .uid = file.uid,
              .gid = file.gid,
              .modified = file.modified};
    if (S_ISLNK(file.mode)) entry_.target = layer_.tree.target(file);
    if (S_ISCHR(file.mode) || S_ISBLK(file.mode))
        entry_.device_major = major(file.place), entry_.device_minor = minor(file.place);
    bool is_opaque = false;
    for (const uint32_t number : layer_.tree.attributes(file))
        is_opaque |= take_attribute(layer_.tree.attribute(number));
    return is_opaque;
}

// Gives whether it says that the directory is opaque.
bool ErofsLayer::take_attribute(const FileTree::Attribute& attribute) {
    std::string_view word = attribute.name;
    for (const std::string_view space : {"trusted.overlay.", "user.overlay."})
        if (word.starts_with(space)) word.remove_prefix(space.size());
    if (word.size() == attribute.name.size()) {
        entry_.xattrs.emplace(attribute.name, attribute.value);
        return false;
    }
    const bool is_opaque = word == "opaque" && attribute.value == "y";
    if (!is_opaque && (word == "opaque" || word == "redirect" || word == "metacopy" ||
                       word == "whiteout" || word == "xwhiteouts"))
        throw Error("it has the attribute ", quoted(attribute.name), " with the value ",
                    quoted(attribute.value), ", which keg does not follow");
    return is_opaque;
}

void ErofsLayer::find_content(FileTree::Id id) {
    const FileTree::File& file = layer_.tree.file(id);
    entry_.size = file.size, entry_.data_at = file.place;
    const auto segments = layer_.tree.segments(file);
    if (segments) entry_.segments.emplace(segments->begin(), segments->end());
    if (const auto scattered = layer_.scattered.find(id); scattered != layer_.scattered.end()) {
        pieces_ = scattered->second;
    } else if (segments) {
        uint64_t at = file.place;
        for (const TarEntry::Segment& segment : *segments) {
            pieces_.push_back({segment.offset, segment.size, at});
            at += segment.size;
        }
    } else if (file.size != 0) {
        pieces_.push_back({0, file.size, file.place});
    }
    std::ranges::reverse(pieces_);
}

std::optional<LayerEntries::Block> ErofsLayer::read() {
    if (pieces_.empty()) return {};
    constexpr uint64_t most = uint64_t(256) << 10;
    erofs::Piece& piece = pieces_.back();
    buffer_.resize(std::min(piece.size, most));
    if (read_at(fd_, piece.at, buffer_) < buffer_.size()) refuse("it has become shorter");
    const Block block{piece.offset, buffer_};
    piece.offset += buffer_.size(), piece.at += buffer_.size(), piece.size -= buffer_.size();
    if (piece.size == 0) pieces_.pop_back();
    return block;
}
