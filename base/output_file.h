// Where a command writes an archive: standard output, or what -o names.
#pragma once

#include <functional>
#include <string>

class OutputFile {
public:
    // "" is standard output, which must be no terminal (Docker's words say so).
    explicit OutputFile(std::string path);
    // Calls `write` with a descriptor. A regular file is seen when all of it is written, and not at
    // all if that throws; a device or a FIFO is written as it is. Throws Error for a directory.
    void write(const std::function<void(int fd)>& write) const;

private:
    std::string path_;
};
