// readdir(3) gives null at the end and for an error alike: only errno, cleared before each call,
// tells. And a stream takes its descriptor along when it is closed, so it always has its own.
#include "base/directory.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"

static std::vector<DirectoryEntry> read_entries(UniqueFd opened, std::string_view shown) {
    DIR* stream = ::fdopendir(opened.get());
    if (!stream) throw SysError("read ", shown);
    opened.release();
    const Defer closed([&] { ::closedir(stream); });
    std::vector<DirectoryEntry> found;
    for (errno = 0; const dirent* entry = ::readdir(stream); errno = 0)
        if (const std::string_view name = entry->d_name; name != "." && name != "..")
            found.push_back({std::string(name), entry->d_type});
    if (errno != 0) throw SysError("read ", shown);
    std::ranges::sort(found, {}, &DirectoryEntry::name);
    return found;
}

static std::vector<std::string> names_of(std::vector<DirectoryEntry> entries) {
    std::vector<std::string> names;
    for (DirectoryEntry& entry : entries) names.push_back(std::move(entry.name));
    return names;
}

std::vector<DirectoryEntry> entries_in(int directory, std::string_view shown) {
    UniqueFd own(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!own) throw SysError("read ", shown);
    return read_entries(std::move(own), shown);
}

std::vector<std::string> names_in(int directory, std::string_view shown) {
    return names_of(entries_in(directory, shown));
}

std::vector<std::string> names_in(const std::string& directory) {
    UniqueFd opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened) throw SysError("read ", directory);
    return names_of(read_entries(std::move(opened), directory));
}

std::vector<std::string> names_in_if_exists(const std::string& directory) {
    UniqueFd opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened && errno == ENOENT) return {};
    if (!opened) throw SysError("read ", directory);
    return names_of(read_entries(std::move(opened), directory));
}
