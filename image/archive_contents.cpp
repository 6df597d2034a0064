// Archives come from strangers: every name is made plain before it is a key, every document has a
// most size, and what is not a document never stays in memory. Entries may come in any order
// (manifest.json is often last) and the input may be a pipe, so all of it is taken in before
// anything is looked at.
#include "image/archive_contents.h"

#include "base/error.h"

namespace {

constexpr int64_t most_document = 4 << 20;  // a JSON document of an archive
constexpr int64_t most_small = 4 << 10;     // what else is kept in memory
constexpr int64_t most_memory = 128 << 20;  // all of that
constexpr size_t most_entries = 100'000, most_links = 8;

// "./a//b" as "a/b". A name that leads out of the archive is an attack, not a mistake.
std::string inside(const std::string& name, const std::string& from_directory = {}) {
    std::vector<std::string> parts;
    const std::string whole = from_directory.empty() ? name : from_directory + "/" + name;
    if (whole.starts_with('/'))
        throw Error("the archive's entry ", ::quoted(name), " leads out of it");
    for (std::string& part : split(whole, '/')) {
        if (part.empty() || part == ".") continue;
        if (part != "..") {
            parts.push_back(std::move(part));
            continue;
        }
        if (from_directory.empty() || parts.empty())
            throw Error("the archive's entry ", ::quoted(name), " leads out of it");
        parts.pop_back();
    }
    return join(parts, "/");
}

// By which a blob of a layout is called.
std::string_view algorithm_of(const std::string& path) {
    for (const std::string_view algorithm : Digest::algorithms())
        if (path.starts_with(str("blobs/", algorithm, "/"))) return algorithm;
    return "sha256";
}

}  // namespace

ArchiveContents::ArchiveContents(const Store& store, int fd)
    : store_(store), work_(store.work_dir("load")) {
    ArchiveReader reader(fd, ArchiveReader::Kind::tar);
    while (archive_entry* entry = reader.next()) take(reader, entry);
}

ArchiveContents::File* ArchiveContents::find(const std::string& named) {
    std::string path = inside(named);
    for (size_t i = 0; i < most_links; ++i) {
        if (const auto file = files_.find(path); file != files_.end()) return &file->second;
        const auto link = links_.find(path);
        if (link == links_.end()) return nullptr;
        path = link->second;
    }
    return nullptr;
}

ArchiveContents::File* ArchiveContents::find_blob(const std::string& digest) {
    const Digest checked(digest);  // before it becomes a path
    return find("blobs/" + checked.algorithm() + "/" + checked.hex());
}

std::optional<std::string> ArchiveContents::document(const std::string& path) {
    File* const file = find(path);
    if (!file) return {};
    if (file->blob)
        throw Error("the archive's ", ::quoted(path), " is too large (", file->size,
                    " bytes) or not JSON");
    return file->data;
}

void ArchiveContents::take(ArchiveReader& reader, archive_entry* entry) {
    if (++entries_ > most_entries) throw Error("the archive has too many entries");
    const char* const name = archive_entry_pathname(entry);
    if (!name) throw Error("the archive has an entry without a usable name");
    const std::string path = inside(name);
    if (const char* target = archive_entry_hardlink(entry)) {
        links_[path] = inside(target);
    } else if (archive_entry_filetype(entry) == AE_IFLNK) {
        const size_t slash = path.rfind('/');
        const char* to = archive_entry_symlink(entry);
        links_[path] =
            inside(to ? to : "", slash == std::string::npos ? "." : path.substr(0, slash));
    } else if (archive_entry_filetype(entry) == AE_IFREG) {
        if (files_.contains(path)) throw Error("the archive has ", ::quoted(path), " twice");
        files_.emplace(path, take_file([&] { return reader.read(); }, algorithm_of(path)));
    }  // directories say nothing; devices have no place here
}

ArchiveContents::File& ArchiveContents::inflate(const std::string& path) {
    if (const auto done = inflated_.find(path); done != inflated_.end()) return done->second;
    const File& file = *find(path);
    UniqueFd blob;
    if (file.blob) blob = file.blob->open();
    return context(::quoted(path), [&]() -> File& {
        const auto plain = make_decoder(blob ? bytes_of(blob.get()) : bytes_of(file.data));
        return inflated_.emplace(path, take_file([&] { return plain->read(); }, "sha256"))
            .first->second;
    });
}

ArchiveContents::File ArchiveContents::take_file(const ByteSource& bytes,
                                                 std::string_view algorithm) {
    File out;
    std::string_view piece = bytes();
    const bool document = piece.starts_with('{') || piece.starts_with('[');
    out.compression = compression_of(piece);
    for (; !piece.empty(); piece = bytes()) {
        out.size += int64_t(piece.size());
        if (!out.blob && out.size <= (document ? most_document : most_small)) {
            out.data += piece;
            continue;
        }
        if (!out.blob) {
            out.blob.emplace(store_.new_blob(work_, algorithm));
            out.blob->write(out.data);
            out.data = {};
        }
        out.blob->write(piece);
    }
    out.digest = out.blob ? out.blob->digest() : digest_of(out.data, algorithm);
    if (out.blob) out.blob->set_aside();
    memory_ += int64_t(out.data.size());
    if (memory_ > most_memory) throw Error("the archive has too many small files");
    return out;
}
