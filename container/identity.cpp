// A pid may be another process's tomorrow; with its start time it is one process. The line that has
// the time also has the process's name, which may hold blanks and parentheses: fields are counted
// from the last ")". A zombie has ended, so it has no time.
//
// The directory below /run is removed once the store's last container and its network have gone,
// which holds still only under the lock of the names; what another process is just deleting in it
// makes rmdir fail, and then it stays.
#include "container/identity.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "image/digest.h"

std::string random_id() {
    std::array<unsigned char, 32> bytes;
    check(::getrandom(bytes.data(), bytes.size(), 0), "getrandom");
    std::string out;
    for (const unsigned char byte : bytes)
        out += "0123456789abcdef"[byte >> 4], out += "0123456789abcdef"[byte & 15];
    return out;
}

uint64_t start_time(pid_t pid) {
    const auto stat = read_file_if_exists(str("/proc/", pid, "/stat"));
    if (!stat) return 0;
    // The name in parentheses may hold anything: count fields behind the last one.
    const std::vector<std::string> fields =
        split(std::string_view(*stat).substr(stat->rfind(')') + 2), ' ');
    if (fields.size() < 20 || fields[0] == "Z" || fields[0] == "X") return 0;
    return parse_number<uint64_t>(fields[19]).value_or(0);
}

bool is_alive(pid_t pid, uint64_t started) {
    return pid > 0 && started && start_time(pid) == started;
}

std::string store_hash(const std::string& store_root) {
    char* real = ::realpath(store_root.c_str(), nullptr);
    const std::string path = real ? real : store_root;
    ::free(real);
    return digest_of(path).hex().substr(0, 8);
}

std::string volatile_directory(const std::string& store_root) {
    return "/run/keg-stores/" + store_hash(store_root);
}

static bool has_containers(const std::string& directory) {
    return std::ranges::any_of(names_in_if_exists(directory),
                               [](const std::string& name) { return name.size() == 64; });
}

// Under the names' lock nobody makes a container, and who has none has nothing below /run.
void remove_volatile_directory_locked(const std::string& store_root) {
    const std::string directory = volatile_directory(store_root);
    if (sys::exists(directory + "/net/subnet")) return;
    const std::string containers =
        store_root + "/containers";  // not even that, if the store was deleted
    if (has_containers(containers)) return;
    if (::rmdir((directory + "/runtime").c_str()) < 0 && errno != ENOENT)
        return;  // one that is just being deleted
    if (sys::exists(directory + "/net")) {
        const FileLock nobody_comes(directory + "/net/lock");
        if (sys::exists(directory + "/net/subnet")) return;
        sys::remove_tree(directory + "/net");
    }
    ::rmdir(directory.c_str());
}

void remove_volatile_directory(const std::string& store_root) {
    std::optional<FileLock> names;
    if (sys::exists(store_root + "/containers/names"))
        names.emplace(store_root + "/containers/names/.lock");
    remove_volatile_directory_locked(store_root);
}

std::string boot_id() {
    static const std::string id(
        trim(read_file_if_exists("/proc/sys/kernel/random/boot_id").value_or("")));
    return id;
}
