#include "image/layer/tar_file.h"

#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"

TarFile::TarFile(int fd) : fd_(fd), size_(uint64_t(sys::fstat(fd).st_size)) {}

std::string_view TarFile::read() {
    ssize_t got = 0;
    do {
        got = ::pread(fd_, buffer_, sizeof buffer_, off_t(at_));
    } while (got < 0 && errno == EINTR);
    check(got, "read the tar");
    at_ += uint64_t(got);
    return {buffer_, size_t(got)};
}

bool TarFile::skip(uint64_t count) {
    if (count > size_ - at_) return false;
    at_ += count;
    return true;
}
