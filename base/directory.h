// What is in a directory. Hard about it is that readdir(3) ends in one way for "no more" and for
// "cannot be read", which must not look alike to who goes over a store, and that a stream of one's
// own is needed where the descriptor is to be used again. All names are read before any is used, so
// that what is made or removed meanwhile is met at most once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

struct DirectoryEntry {
    std::string name;
    unsigned char type;  // DT_DIR …; DT_UNKNOWN where the file system does not say
};

// Without "." and "..", by name, byte for byte. `directory` may be O_PATH, `shown` is its name in
// an error. Throws SysError.
std::vector<DirectoryEntry> entries_in(int directory, std::string_view shown);
std::vector<std::string> names_in(int directory, std::string_view shown);
std::vector<std::string> names_in(const std::string& directory);
// None if it is not there.
std::vector<std::string> names_in_if_exists(const std::string& directory);
