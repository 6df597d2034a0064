// A lease is a claimed file (work.h): that its lock is held says that its owner lives. Words are
// appended under the store's lock, shared, and are remembered as held only when that has succeeded.
// Threads of one process have one lease together.
#include "image/lease.h"

#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"

namespace {

Claimed make_lease(const std::string& root) {
    sys::make_directories(root + "/leases", 0700);
    return claim(root + "/leases", "lease", Claim::file);
}

}  // namespace

LeaseFile::LeaseFile(const std::string& store_root)
    : root_(store_root), claimed_(make_lease(store_root)) {}

LeaseFile::~LeaseFile() { ::unlink(claimed_.path.c_str()); }

void LeaseFile::hold(std::span<const std::string> words) {
    const std::lock_guard one_thread(mutex_);
    std::string text;
    for (const std::string& word : words)
        if (!held_.contains(word)) text += word + "\n";
    if (text.empty()) return;
    const FileLock collector_waits(root_ + "/lock", true);
    context(claimed_.path, [&] { sys::write_all(claimed_.lock.get(), text); });
    held_.insert(words.begin(), words.end());
}

std::set<std::string> leased(const std::string& root) {
    std::set<std::string> words;
    for (const std::string& path :
         collect_dead(root + "/leases", [](const std::string& dead) { sys::unlink(dead); }))
        // One that ended after it was found has written down elsewhere what it needs.
        if (const auto text = read_file_if_exists(path))
            for (const std::string& word : split(*text, '\n'))
                if (!word.empty()) words.insert(word);
    return words;
}
