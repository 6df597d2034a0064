// A plain tar in a file, for who wants its headers only (TarStream's `read` and `skip`): contents
// are passed over without being read.
#pragma once

#include <cstdint>
#include <string_view>

class TarFile {
public:
    explicit TarFile(int fd);  // which stays the caller's
    std::string_view read();
    bool skip(uint64_t count);
    uint64_t size() const { return size_; }

private:
    int fd_;
    uint64_t size_, at_ = 0;
    char buffer_[4096];  // headers come with what small files hold
};
