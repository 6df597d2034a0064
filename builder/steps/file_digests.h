// What files contained when they were last read: a file that looks the same to stat(2), its change
// time included, is not read again. Of one directory, in the store's cache, for the builds to come.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "image/digest.h"

class FileDigests {
public:
    using Sha256 = std::array<unsigned char, 32>;
    static Sha256 bytes_of(const Digest& sha256);

    // Reads what was saved at `path`; a damaged file is none.
    explicit FileDigests(std::string path);

    // Several threads may ask and tell.
    std::optional<Sha256> find(const struct stat& info) const;
    // `info` is the file's from before it was read, and was the same after. What changed just now
    // is not kept: it may change again without looking other.
    void add(const struct stat& info, const Sha256& digest);
    // For the next build, if there is anything new. Not durable: what is torn is none.
    void save() const;

private:
    struct Record {  // as it is on disk
        uint64_t device, inode;
        int64_t changed, modified;  // nanoseconds since 1970
        uint64_t size, mode;
        Sha256 digest;
    };
    static Record looks_of(const struct stat& info);

    std::string path_;
    mutable std::mutex mutex_;
    std::unordered_map<uint64_t, Record> records_;  // by inode numbers
    bool changed_ = false;
};
