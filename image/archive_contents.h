// What an image archive holds: its regular files by path, small ones in memory, the rest as blobs
// of the store that nobody sees yet.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "image/archive_reader.h"
#include "image/layer/decoder.h"
#include "image/store.h"

class ArchiveContents {
public:
    struct File {
        std::string data;                // if it is small
        std::optional<BlobWriter> blob;  // if it is not
        Digest digest;
        int64_t size = 0;
        std::string_view compression;  // "", "gzip", "zstd"; others as they are called
    };

    // Reads the whole archive. Throws Error for one that is damaged, too large where it must be
    // small, or has names that lead out of it or come twice.
    ArchiveContents(const Store& store, int fd);

    // What that path (as in a document of the archive) names, links followed; nullptr if nothing.
    File* find(const std::string& path);
    // Of an image layout: blobs/ALGORITHM/HEX. Throws Error for what is no digest.
    File* find_blob(const std::string& digest);
    // The same file without its compression.
    File& inflate(const std::string& path);
    // A JSON document's text, or nothing if it is not there.
    std::optional<std::string> document(const std::string& path);

private:
    void take(ArchiveReader& reader, archive_entry* entry);
    File take_file(const ByteSource& bytes, std::string_view algorithm);

    const Store& store_;
    WorkDir work_;  // of the blobs, none of which stays open: an archive has any number
    std::map<std::string, File> files_, inflated_;
    std::map<std::string, std::string> links_;
    int64_t memory_ = 0;
    size_t entries_ = 0;
};
