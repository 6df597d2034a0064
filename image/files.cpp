// What is hard: the names are a stranger's, and so is what has them. In a directory the kernel
// follows no link on the whole way, and what is opened is what was looked at. In an archive a name
// is a key and nothing else; contents are read where they lie, so that each is read once however
// the entries are ordered, and none is held.
#include "image/files.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/directory.h"
#include "base/error.h"
#include "base/regular_file.h"
#include "base/sys.h"
#include "image/layer/rules.h"
#include "image/layer/tar_file.h"

namespace {

constexpr size_t most_entries = 1'000'000;  // of an archive
constexpr size_t read_at_once = size_t(1) << 20;

std::expected<UniqueFd, int> try_place(const Root& root, const std::string& path) {
    return sys::try_openat2(
        root.fd(), path,
        {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
         .mode = 0,
         .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS});
}

ByteSource piece_of(int fd, uint64_t at, uint64_t size) {
    return [fd, at, left = size,
            buffer = std::make_shared<std::vector<char>>(read_at_once)]() mutable {
        const size_t most = std::min<uint64_t>(left, buffer->size());
        const ssize_t got = check(::pread(fd, buffer->data(), most, off_t(at)), "read");
        at += uint64_t(got), left -= uint64_t(got);
        return std::string_view(buffer->data(), size_t(got));
    };
}

// A name as the archive's entries are known by; nothing for what is the name of none.
std::optional<std::string> key_of(const std::string& name) {
    if (name.starts_with('/') || climbs_out(name)) return {};
    try {
        return clean_path(name);
    } catch (const Error&) {  // too long
        return {};
    }
}

}  // namespace

std::optional<Files::File> DirectoryFiles::find(const std::string& path) const {
    const auto place = try_place(root_, path);
    if (!place && place.error() == ELOOP) return File{.kind = File::Kind::link};
    if (!place && (place.error() == ENOENT || place.error() == ENOTDIR)) return {};
    if (!place) throw SysError(place.error(), str("open ", quoted(path)));
    const struct stat info = sys::fstat(place->get());
    using enum File::Kind;
    const auto kind = S_ISREG(info.st_mode) ? regular : S_ISLNK(info.st_mode) ? link : other;
    return File{.kind = kind, .size = info.st_size};
}

ByteSource DirectoryFiles::open(const std::string& path) const {
    const auto place = try_place(root_, path);
    if (!place) throw SysError(place.error(), str("open ", quoted(path)));
    const auto file = std::make_shared<UniqueFd>(reopen_regular(place->get(), path));
    return [file, bytes = bytes_of(file->get())] { return bytes(); };
}

std::vector<std::string> DirectoryFiles::blobs() const {
    std::vector<std::string> all;
    const auto names = [&](const std::string& directory) -> std::vector<std::string> {
        const auto place = try_place(root_, directory);
        if (!place || !S_ISDIR(sys::fstat(place->get()).st_mode)) return {};
        const UniqueFd opened = sys::openat(place->get(), ".", O_RDONLY | O_DIRECTORY);
        return names_in(opened.get(), directory);
    };
    for (const std::string& algorithm : names("blobs")) {
        const std::string directory = "blobs/" + algorithm;
        if (const auto file = find(directory); file && file->kind != File::Kind::other)
            all.push_back(directory);
        for (const std::string& name : names(directory)) all.push_back(directory + "/" + name);
    }
    std::ranges::sort(all);
    return all;
}

TarFiles::TarFiles(int fd, const std::function<void(const std::string& problem)>& complain)
    : fd_(fd) {
    TarFile file(fd);
    TarStream tar([&] { return file.read(); }, [&](uint64_t count) { return file.skip(count); });
    const auto next = [&]() -> const TarEntry* {
        try {
            return tar.next();
        } catch (const SysError&) {  // of our reading, not of what is read
            throw;
        } catch (const Error& e) {
            complain(e.what());
            return nullptr;
        }
    };
    while (const TarEntry* entry = next()) {
        if (entries_.size() == most_entries) {
            complain(str("it has more than ", most_entries, " entries"));
            break;
        }
        const std::string wrong = take(*entry);
        if (!wrong.empty()) complain(str("the entry ", quoted(entry->name), " ", wrong));
    }
}

// Gives what is wrong with it.
std::string TarFiles::take(const TarEntry& entry) {
    const auto path = key_of(entry.name);
    if (!path) return "has a name that leads out of the archive, or is too long";
    Entry found;
    found.at = entry.data_at, found.size = int64_t(entry.size);
    using Type = TarEntry::Type;
    if (entry.type == Type::symlink || entry.type == Type::hard_link) {
        found.kind = File::Kind::link;
        const auto directory = std::string(split_parent(*path).directory);
        const bool relative = entry.type == Type::symlink && !directory.empty();
        if (!entry.target.starts_with('/'))
            found.target =
                key_of(relative ? str(directory, "/", entry.target) : entry.target).value_or("");
    } else if (entry.type != Type::file || entry.segments) {
        found.kind = File::Kind::other;
    }
    const bool is_new = entries_.try_emplace(*path, std::move(found)).second;
    return is_new || entry.type == Type::directory ? "" : "is there twice";
}

std::optional<Files::File> TarFiles::find(const std::string& path) const {
    const auto key = key_of(path);
    const auto found = key ? entries_.find(*key) : entries_.end();
    if (found == entries_.end()) return {};
    return found->second;
}

ByteSource TarFiles::open(const std::string& path) const {
    const Entry& entry = entries_.at(*key_of(path));
    return piece_of(fd_, entry.at, uint64_t(entry.size));
}

std::vector<std::string> TarFiles::blobs() const {
    std::vector<std::string> all;
    for (const auto& [path, entry] : entries_)
        if (path.starts_with("blobs/") &&
            (entry.kind != File::Kind::other || std::ranges::count(path, '/') > 1))
            all.push_back(path);
    return all;
}

std::string read_text(const Files& files, const std::string& path) {
    std::string text;
    const ByteSource bytes = files.open(path);
    for (std::string_view piece = bytes(); !piece.empty() && text.size() <= most_document;
         piece = bytes())
        text += piece;
    return text;
}

bool is_regular_file(const Files& files, const std::string& path) {
    const auto file = files.find(path);
    return file && file->kind == Files::File::Kind::regular;
}

std::optional<std::string> read_document(const Files& files, const std::string& path) {
    if (!is_regular_file(files, path)) return {};
    std::string text = read_text(files, path);
    if (text.size() > most_document) throw Error(path, " is too large for a document");
    return text;
}

UniqueFd nameless_file() {
    const char* const directory = std::getenv("TMPDIR");
    std::string name = str(directory && *directory ? directory : "/var/tmp", "/keg-XXXXXX");
    UniqueFd file(check(::mkostemp(name.data(), O_CLOEXEC), "create a file ", quoted(name)));
    sys::unlink(name);
    return file;
}

void spool(const ByteSource& bytes, int to) {
    for (std::string_view piece = bytes(); !piece.empty(); piece = bytes())
        sys::write_all(to, piece);
    check(::lseek(to, 0, SEEK_SET), "lseek");
}

std::string_view compression_in(int fd) {
    char head[6];
    const ssize_t got = check(::pread(fd, head, sizeof head, 0), "read");
    return compression_of({head, size_t(got)});
}
