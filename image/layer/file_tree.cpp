// What is hard here is what is hard in apply.cpp, without the kernel to ask: a path is followed
// through links as in a root of its own; a whiteout hides what is below its layer and nothing that
// the layer brought, in whatever order the two come; a hard link may name a lower layer's file.
//
// And the cost. Names that a stranger chose lie in one hash table (of a hash that nobody can aim
// at), the names of a directory are a chain through it, so that a name is found, added and taken
// away in the same time in a directory of any size. What is removed was added once. A layer clears
// a directory once: after that it holds nothing from below. A real image of 100,000 entries takes
// some 20 MB.
#include "image/layer/file_tree.h"

#include <linux/limits.h>
#include <sys/random.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "image/layer/attributes.h"
#include "image/layer/rules.h"

namespace {

constexpr unsigned most_links = 40;  // on one way, as the kernel's

// SipHash-1-3 with a key of this process.
uint64_t keyed_hash(uint32_t salt, std::string_view text) {
    static const auto key = [] {
        std::array<uint64_t, 2> random{};
        if (::getrandom(random.data(), sizeof random, 0) != sizeof random)
            throw SysError("get random bytes");
        return random;
    }();
    uint64_t a = key[0] ^ 0x736f6d6570736575, b = key[1] ^ 0x646f72616e646f6d,
             c = key[0] ^ 0x6c7967656e657261, d = key[1] ^ 0x7465646279746573;
    const auto round = [&] {
        a += b, b = std::rotl(b, 13) ^ a, a = std::rotl(a, 32);
        c += d, d = std::rotl(d, 16) ^ c;
        a += d, d = std::rotl(d, 21) ^ a;
        c += b, b = std::rotl(b, 17) ^ c, c = std::rotl(c, 32);
    };
    const auto take = [&](uint64_t word) { d ^= word, round(), a ^= word; };
    take(salt);
    uint64_t last = uint64_t(text.size()) << 56;
    for (; text.size() >= 8; text.remove_prefix(8)) {
        uint64_t word;
        std::memcpy(&word, text.data(), 8);
        take(word);
    }
    uint64_t rest = 0;
    std::memcpy(&rest, text.data(), text.size());
    take(last | rest);
    c ^= 0xff;
    round(), round(), round();
    return a ^ b ^ c ^ d;
}

uint32_t name_hash(uint32_t directory, std::string_view name) {
    return uint32_t(keyed_hash(directory, name));
}

uint32_t kind_of(TarEntry::Type type) {
    using enum TarEntry::Type;
    switch (type) {
        case directory: return S_IFDIR;
        case symlink: return S_IFLNK;
        case character_device: return S_IFCHR;
        case block_device: return S_IFBLK;
        case fifo: return S_IFIFO;
        case file:
        case hard_link: break;
    }
    return S_IFREG;
}

uint32_t number_of(size_t count) {
    if (count >= FileTree::none) throw Error("more than 4,294,967,294 files");
    return uint32_t(count);
}

}  // namespace

size_t FileTree::Hash::operator()(const std::string& text) const { return keyed_hash(0, text); }

FileTree::FileTree() : slots_(64), sets_(1) {
    make({.mode = S_IFDIR | 0755, .links = 1});
    directories_[0] = {.parent = root, .name = none, .first = none, .cleared = 0};
}

uint32_t FileTree::keep_letters(std::string_view text) {
    if (letters_.size() + text.size() >= none) throw Error("names of more than 4 GiB");
    const auto at = uint32_t(letters_.size());
    letters_ += text;
    return at;
}

// Names

uint32_t FileTree::find(Id directory, std::string_view name) const {
    const uint32_t hash = name_hash(directory, name);
    const size_t mask = slots_.size() - 1;
    for (size_t at = hash & mask; slots_[at] != 0; at = (at + 1) & mask) {
        const Name& there = names_[slots_[at] - 1];
        if (there.hash == hash && there.directory == directory && text(there) == name)
            return slots_[at] - 1;
    }
    return none;
}

void FileTree::rehash() {
    std::vector<uint32_t> before(slots_.size() * 2);
    before.swap(slots_);
    const size_t mask = slots_.size() - 1;
    for (const uint32_t slot : before) {
        if (slot == 0) continue;
        size_t at = names_[slot - 1].hash & mask;
        while (slots_[at] != 0) at = (at + 1) & mask;
        slots_[at] = slot;
    }
}

void FileTree::name(Id directory, std::string_view name, Id file) {
    if (++named_ * 4 > slots_.size() * 3) rehash();
    const uint32_t number = number_of(names_.size());
    Directory& in = directory_of(directory);
    names_.push_back({.directory = directory,
                      .file = file,
                      .at = keep_letters(name),
                      .before = none,
                      .after = in.first,
                      .hash = name_hash(directory, name),
                      .touched = layer_,
                      .size = uint8_t(name.size())});
    if (in.first != none) names_[in.first].before = number;
    in.first = number;
    ++files_[file].links;
    if (files_[file].is_directory())
        directory_of(file).parent = directory, directory_of(file).name = number;

    const size_t mask = slots_.size() - 1;
    size_t at = names_[number].hash & mask;
    while (slots_[at] != 0) at = (at + 1) & mask;
    slots_[at] = number + 1;
}

// Out of its directory and the table; what came behind it in the table closes up.
void FileTree::detach(uint32_t number) {
    const Name& name = names_[number];
    if (name.before != none)
        names_[name.before].after = name.after;
    else
        directory_of(name.directory).first = name.after;
    if (name.after != none) names_[name.after].before = name.before;
    --files_[name.file].links;
    --named_;

    const size_t mask = slots_.size() - 1;
    size_t hole = name.hash & mask;
    while (slots_[hole] != number + 1) hole = (hole + 1) & mask;
    for (size_t at = (hole + 1) & mask; slots_[at] != 0; at = (at + 1) & mask) {
        const size_t wanted = names_[slots_[at] - 1].hash & mask;
        if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
        slots_[hole] = slots_[at], hole = at;
    }
    slots_[hole] = 0;
}

// With all that is in it.
void FileTree::remove(uint32_t number) {
    const uint32_t kind = files_[names_[number].file].mode & S_IFMT;
    if (kind == S_IFDIR || kind == S_IFLNK) parent_.reset();  // perhaps on the way to it
    std::vector<uint32_t> doomed{number};
    while (!doomed.empty()) {
        const uint32_t name = doomed.back();
        doomed.pop_back();
        if (files_[names_[name].file].is_directory())
            for (uint32_t in = directory_of(names_[name].file).first; in != none;
                 in = names_[in].after)
                doomed.push_back(in);
        detach(name);
    }
}

// What is in the directory and not from this layer goes. Only what the layer touched is entered:
// all that is in another directory goes with it.
void FileTree::clear_untouched(Id top) {
    std::vector<Id> ahead{top};
    while (!ahead.empty()) {
        Directory& directory = directory_of(ahead.back());
        ahead.pop_back();
        if (std::exchange(directory.cleared, layer_) == layer_) continue;
        for (uint32_t at = directory.first; at != none;) {
            const uint32_t name = std::exchange(at, names_[at].after);
            if (names_[name].touched != layer_)
                remove(name);
            else if (files_[names_[name].file].is_directory())
                ahead.push_back(names_[name].file);
        }
    }
}

std::vector<FileTree::Entry> FileTree::entries(Id directory) const {
    std::vector<Entry> all;
    for (uint32_t at = directory_of(directory).first; at != none; at = names_[at].after)
        all.push_back({text(names_[at]), names_[at].file});
    std::ranges::sort(all, {}, &Entry::name);
    return all;
}

// Files

FileTree::Id FileTree::make(File file, std::string_view target) {
    const Id id = number_of(files_.size());
    if (file.is_directory()) {
        file.particular = number_of(directories_.size());
        directories_.push_back({.parent = root, .name = none, .first = none, .cleared = layer_});
    } else if (S_ISLNK(file.mode)) {
        file.particular = keep_letters(target), file.size = target.size();
    }
    files_.push_back(file);
    return id;
}

FileTree::Id FileTree::make_sparse(File file, std::span<const TarEntry::Segment> segments) {
    std::vector<TarEntry::Segment> apart;
    for (const TarEntry::Segment& segment : segments) {
        if (!apart.empty() && apart.back().offset + apart.back().size == segment.offset)
            apart.back().size += segment.size;
        else
            apart.push_back(segment);
    }
    if (file.size == 0 || (apart.size() == 1 && apart[0].size == file.size)) return make(file);
    file.particular = number_of(maps_.size());
    const uint32_t begin = number_of(segments_.size());
    segments_.insert(segments_.end(), apart.begin(), apart.end());
    maps_.emplace_back(begin, number_of(segments_.size()));
    files_.push_back(file);
    return number_of(files_.size() - 1);
}

void FileTree::describe(Id directory, const File& looks) {
    File& file = files_[directory];
    file.mode = looks.mode, file.uid = looks.uid, file.gid = looks.gid;
    file.modified = looks.modified, file.attributes = looks.attributes;
}

std::string_view FileTree::target(const File& symlink) const {
    return std::string_view(letters_).substr(symlink.particular, symlink.size);
}

std::optional<std::span<const TarEntry::Segment>> FileTree::segments(const File& file) const {
    if (!S_ISREG(file.mode) || file.particular == none) return {};
    const auto [begin, end] = maps_[file.particular];
    return std::span(segments_).subspan(begin, end - begin);
}

uint32_t FileTree::attribute_number(std::string name, std::string value) {
    const auto [at, is_new] =
        attribute_numbers_.try_emplace(name + '\0' + value, number_of(attributes_.size()));
    if (is_new) attributes_.push_back({std::move(name), std::move(value)});
    return at->second;
}

uint32_t FileTree::attribute_set(std::vector<uint32_t> sorted) {
    if (sorted.empty()) return 0;
    const std::string key(reinterpret_cast<const char*>(sorted.data()),
                          sorted.size() * sizeof(uint32_t));
    const auto [at, is_new] = set_numbers_.try_emplace(key, number_of(sets_.size()));
    if (is_new) sets_.push_back(std::move(sorted));
    return at->second;
}

uint32_t FileTree::add_tar(Tar tar) {
    tar.tag.resize(std::min<size_t>(tar.tag.size(), 64));
    tars_.push_back(std::move(tar));
    return uint32_t(tars_.size() - 1);
}

// Layers

void FileTree::begin_layer(std::string_view tag) {
    ++layer_;
    parent_.reset();
    add_tar({std::string(tag), 0});
}

void FileTree::end_layer(uint64_t tar_size) {
    tars_.back().blocks = tar_size / tar_block_size + (tar_size % tar_block_size != 0);
}

void FileTree::add(const TarEntry& entry) {
    if (entry.name.empty()) throw Error("entry without a name");
    const std::string path = clean_path(entry.name);
    try {
        const Mark mark = mark_of(path);
        if (mark.kind == Mark::Kind::aufs) return;
        const std::string_view directory = split_parent(path).directory;
        if (mark.kind == Mark::Kind::opaque) return make_opaque(directory);
        if (mark.kind == Mark::Kind::whiteout) return hide(directory, mark.hidden);
        make_node(entry, path);
    } catch (Error& e) {
        e.prefix(quoted(path.empty() ? "/" : path));
        throw;
    }
}

// As mkdir(2) makes it.
FileTree::Id FileTree::make_implied(Id parent, std::string_view name) {
    File looks{.mode = S_IFDIR | 0755};
    if ((files_[parent].mode & S_ISGID) != 0) looks.mode |= S_ISGID, looks.gid = files_[parent].gid;
    const Id made = make(looks);
    this->name(parent, name, made);
    return made;
}

// The way of a path as the kernel goes it in a root of its own, links followed, also the last; or
// why not. What is on it and no directory gives way if the layer needs one there: the path's own
// component goes, be it the file or a link to one. The directories on it are touched by the layer
// then.
std::expected<FileTree::Id, int> FileTree::directory_at(std::string_view path, Missing missing) {
    const bool makes = missing == Missing::make;
    if (path.size() >= PATH_MAX) return std::unexpected(ENAMETOOLONG);
    std::vector<std::string> targets;     // of links that are being followed
    targets.reserve(most_links);          // they stay where they are
    std::vector<std::string_view> ahead;  // what is left of these
    uint32_t own = none;                  // the path's component that is being looked at
    for (Id here = root;;) {
        while (!ahead.empty() && ahead.back().empty()) ahead.pop_back();
        const bool in_link = !ahead.empty();
        std::string_view& left = in_link ? ahead.back() : path;
        if (left.empty()) return here;
        const std::string_view part = left.substr(0, left.find('/'));
        left.remove_prefix(std::min(part.size() + 1, left.size()));
        if (part.empty() || part == ".") continue;
        if (part == "..") {
            here = parent(here);
            continue;
        }
        const uint32_t found = find(here, part);
        if (found == none && !makes) return std::unexpected(ENOENT);
        if (found == none) {
            here = make_implied(here, part);
            continue;
        }
        if (!in_link) own = found;
        const File& file = files_[names_[found].file];
        if (file.is_directory()) {
            if (makes) names_[found].touched = layer_;
            here = names_[found].file;
        } else if (S_ISLNK(file.mode)) {
            if (targets.size() == most_links) return std::unexpected(ELOOP);
            ahead.push_back(targets.emplace_back(target(file)));
            if (ahead.back().starts_with('/')) here = root;
        } else {
            if (!makes || !std::ranges::all_of(ahead, &std::string_view::empty))
                return std::unexpected(ENOTDIR);
            here = names_[own].directory;
            const std::string name(text(names_[own]));
            remove(own);
            here = make_implied(here, name);
        }
    }
}

FileTree::Id FileTree::parent_at(std::string_view path) {
    if (parent_ && parent_path_ == path) return *parent_;
    const auto directory = directory_at(path, Missing::make);
    if (!directory)
        throw SysError(directory.error(), str("mkdir ", quoted(path), " in the container"));
    parent_path_ = path;
    parent_ = *directory;
    return *directory;
}

std::optional<FileTree::Id> FileTree::directory_if_exists(std::string_view path,
                                                          std::string_view asked) {
    const auto directory = directory_at(path, Missing::leave);
    if (directory) return *directory;
    if (directory.error() == ENOENT || directory.error() == ENOTDIR) return {};
    throw SysError(directory.error(), str("open ", quoted(asked), " in the container"));
}

std::optional<FileTree::Id> FileTree::look_up(std::string_view path) {
    if (path.empty()) return root;
    const auto [above, name] = split_parent(path);
    const auto in = directory_at(above, Missing::leave);
    const uint32_t found = in ? find(*in, name) : none;
    if (found == none) return {};
    return names_[found].file;
}

// What is there may be a link to another directory, whose files are none of this one's.
void FileTree::make_opaque(std::string_view path) {
    Id directory = root;
    if (!path.empty()) {
        const auto [above, name] = split_parent(path);
        const auto in = directory_if_exists(above, path);
        const uint32_t found = in ? find(*in, name) : none;
        if (found == none || !files_[names_[found].file].is_directory()) return;
        directory = names_[found].file;
    }
    clear_untouched(directory);
    for (uint32_t name = directory_of(directory).name;
         name != none && names_[name].touched != layer_;
         name = directory_of(names_[name].directory).name)
        names_[name].touched = layer_;
}

void FileTree::hide(std::string_view directory, std::string_view name) {
    const auto in = directory_if_exists(directory, directory);
    const uint32_t found = in ? find(*in, name) : none;
    if (found == none) return;
    if (names_[found].touched != layer_)
        remove(found);
    else if (files_[names_[found].file].is_directory())
        clear_untouched(names_[found].file);
}

// Of a directory that is there (`before`) an entry describes all but the host's own attributes.
FileTree::File FileTree::looks_of(const TarEntry& entry, const std::string& path, Id before) {
    check_owner(entry);
    Attributes attributes = attributes_of(entry, path);
    if (before != none) {
        for (const uint32_t number : this->attributes(files_[before])) {
            const auto& [name, value] = attributes_[number];
            if (!is_of_layers(name) && !entry.xattrs.contains(name))
                attributes.kept.emplace_back(name, value);
        }
        std::ranges::sort(attributes.kept);
    }
    std::vector<uint32_t> numbers;
    for (auto& [name, value] : attributes.kept)
        numbers.push_back(attribute_number(std::move(name), std::move(value)));
    return {.mode = kind_of(entry.type) | attributes.permissions,
            .uid = uint32_t(entry.uid),
            .gid = uint32_t(entry.gid),
            .modified = entry.modified,
            .attributes = attribute_set(std::move(numbers))};
}

void FileTree::make_node(const TarEntry& entry, const std::string& path) {
    using enum TarEntry::Type;
    if (path.empty()) {
        if (entry.type != directory) throw Error("the root must be a directory");
        return describe(root, looks_of(entry, path, root));
    }
    const auto [above, name] = split_parent(path);
    const Id in = parent_at(above);
    if (entry.type == hard_link) return make_link(entry, path, in, name);
    const uint32_t found = find(in, name);
    if (found != none && entry.type == directory && files_[names_[found].file].is_directory()) {
        names_[found].touched = layer_;
        const Id there = names_[found].file;
        return describe(there, looks_of(entry, path, there));
    }
    if (found != none) remove(found);
    this->name(in, name, make_file(entry, path));
}

FileTree::Id FileTree::make_file(const TarEntry& entry, const std::string& path) {
    using Type = TarEntry::Type;
    if (entry.type == Type::symlink && entry.target.size() >= PATH_MAX)
        throw SysError(ENAMETOOLONG, str("create ", quoted(path)));
    const bool is_device = entry.type == Type::character_device || entry.type == Type::block_device;
    if (is_device) check_device(entry);
    File file = looks_of(entry, path, none);
    if (is_device) file.place = makedev(unsigned(entry.device_major), unsigned(entry.device_minor));
    if (entry.type != Type::file) return make(file, entry.target);
    file.size = entry.size, file.place = entry.data_at;
    file.tar = uint32_t(tars_.size() - 1);
    return entry.segments ? make_sparse(file, *entry.segments) : make(file);
}

// A link to itself, by whatever name, must not remove what it links to.
void FileTree::make_link(const TarEntry& entry, const std::string& path, Id directory,
                         std::string_view name) {
    const std::string target = clean_path(entry.target);
    const uint32_t before = find(directory, name);
    const uint32_t wanted = target == path ? before : linked_by(target);
    if (target == path ||
        (before != none && wanted != none && names_[before].file == names_[wanted].file)) {
        if (before != none) names_[before].touched = layer_;
        return;
    }
    if (before != none) remove(before);
    const uint32_t linked = linked_by(target);  // perhaps that was in it
    if (linked == none) throw SysError(ENOENT, str("hard link to ", quoted(entry.target)));
    const Id file = names_[linked].file;
    if (files_[file].is_directory())
        throw Error("hard link to the directory ", quoted(entry.target));
    this->name(directory, name, file);
}

// The name that a hard link's target is, never through a link at its end.
uint32_t FileTree::linked_by(std::string_view target) {
    if (target.empty()) throw Error(quoted(target), " does not name a file");
    const auto [above, name] = split_parent(target);
    const auto in = directory_at(above, Missing::leave);
    if (!in)
        throw SysError(in.error(), str("open ", quoted(above.empty() ? "." : str(above, "/")),
                                       " in the container"));
    return find(*in, name);
}
