// Where the documents and blobs of an image are: in a directory, or in an archive. Nothing of it is
// trusted, no link is followed, and nothing but a regular file is opened.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/root.h"
#include "image/layer/decoder.h"
#include "image/layer/tar_stream.h"

constexpr size_t most_document = size_t(4) << 20;  // bytes: registries take no more

class Files {
public:
    struct File {
        enum class Kind { regular, link, other } kind = Kind::regular;
        int64_t size = 0;
        std::string target = {};  // of a link in an archive, as a path of it
    };

    Files() = default;
    Files(const Files&) = delete;
    Files& operator=(const Files&) = delete;
    virtual ~Files() = default;
    // A path as a document has it, or nothing if it is not there.
    virtual std::optional<File> find(const std::string& path) const = 0;
    // The bytes of what is a regular file.
    virtual ByteSource open(const std::string& path) const = 0;
    // All files below blobs/, by their paths.
    virtual std::vector<std::string> blobs() const = 0;
};

class DirectoryFiles : public Files {
public:
    explicit DirectoryFiles(const std::string& host_path) : root_(host_path) {}
    std::optional<File> find(const std::string& path) const override;
    ByteSource open(const std::string& path) const override;
    std::vector<std::string> blobs() const override;

private:
    Root root_;
};

// All of a regular file, or what of it is more than a document may have.
std::string read_text(const Files& files, const std::string& path);

// Is a regular file there?
bool is_regular_file(const Files& files, const std::string& path);
// A document, if it is one. Throws Error for one that is too large.
std::optional<std::string> read_document(const Files& files, const std::string& path);

// A plain tar in a regular file, read in place.
class TarFiles : public Files {
public:
    // What is wrong with it as an archive is told to `complain`, which may throw; what comes before
    // that is there.
    TarFiles(int fd, const std::function<void(const std::string& problem)>& complain);
    std::optional<File> find(const std::string& path) const override;
    ByteSource open(const std::string& path) const override;
    std::vector<std::string> blobs() const override;

private:
    struct Entry : File {
        uint64_t at = 0;
    };
    std::string take(const TarEntry& entry);

    int fd_;
    std::map<std::string, Entry> entries_;
};

// A file without a name, in TMPDIR (or /var/tmp), for what must be at hand more than once.
UniqueFd nameless_file();
// All bytes, to a file that stands at its beginning again. What the source throws ends it, and
// comes out of here.
void spool(const ByteSource& bytes, int to);
// As compression_of(), of what a descriptor has at its beginning.
std::string_view compression_in(int fd);
