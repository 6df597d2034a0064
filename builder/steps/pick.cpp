// What is hard: three things look alike. A directory that is named is not copied, but what is in
// it; a file that is named goes into the destination or becomes it; with --parents all keep the
// path that was typed. And a source that is a link is what it leads to, under the link's name,
// while links that are met on the way stay links.
#include "builder/steps/pick.h"

#include <fcntl.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/parallel.h"
#include "base/regular_file.h"
#include "base/sys.h"
#include "base/text.h"
#include "builder/steps/paths.h"
#include "image/digest.h"
#include "image/layer/rules.h"

namespace {

constexpr size_t block = size_t(1) << 18;
constexpr size_t files_at_once = 64, readers = 4;

std::string base_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

bool is_pattern(std::string_view path) {
    return path.find_first_of("*?[\\") != std::string_view::npos;
}

class Picker {
public:
    Picker(SourceTree& tree, const CopyFiles& copy)
        : tree_(tree), copy_(copy), excluded_(join(copy.excludes, "\n")) {}

    std::vector<Pick> pick() {
        for (const std::string& typed : copy_.sources) {
            // With --parents what stands before "/./" is not kept.
            const size_t pivot = copy_.parents ? typed.find("/./") : std::string::npos;
            const std::string kept_from =
                pivot == std::string::npos ? "" : clean_path(typed.substr(0, pivot));
            const std::string path = clean_path(typed);
            if (!is_pattern(path)) {
                source(path, kept_from);
                continue;
            }
            std::vector<std::string> parts = split(path, '/');
            matches("", parts, 0, kept_from);
        }
        return std::move(picks_);
    }

private:
    // What of the tree matches the pattern's parts from that one on.
    void matches(const std::string& directory, const std::vector<std::string>& parts, size_t at,
                 const std::string& kept_from) {
        const bool is_deep = copy_.parents && parts[at] == "**";
        if (is_deep && at + 1 < parts.size()) matches(directory, parts, at + 1, kept_from);
        const SourceTree::Listing listing = tree_.list(directory);
        for (const SourceTree::Entry& entry : *listing) {
            const std::string path = path_below(directory, entry.name);
            if (is_deep) {
                if (at + 1 == parts.size())
                    source(path, kept_from);
                else if (S_ISDIR(entry.info.st_mode))
                    matches(path, parts, at, kept_from);
                continue;
            }
            if (!match_path(parts[at], entry.name)) continue;
            if (at + 1 == parts.size())
                source(path, kept_from);
            else if (S_ISDIR(entry.info.st_mode))
                matches(path, parts, at + 1, kept_from);
        }
    }

    void source(const std::string& path, const std::string& kept_from) {
        const std::string real = tree_.resolve(path);
        const struct stat info = tree_.look(real);
        if (copy_.parents) return with_parents(path, real, info, kept_from);
        if (!S_ISDIR(info.st_mode)) return add(real, base_name(path), info, true);
        add(real, "", info);
        contents(real, "", "");
    }

    // The directories of the path come along as they are in the source.
    void with_parents(const std::string& path, const std::string& real, const struct stat& info,
                      const std::string& kept_from) {
        std::string under = path;
        if (!kept_from.empty() && under.starts_with(kept_from + "/"))
            under.erase(0, kept_from.size() + 1);
        // As BuildKit: nothing of the path would be kept.
        if (path.empty() || path == kept_from) throw Error(quoted("/" + path), ": not found");
        for (size_t slash = under.find('/'); slash != std::string::npos;
             slash = under.find('/', slash + 1)) {
            const std::string parent =
                tree_.resolve(path.substr(0, path.size() - under.size() + slash));
            add(parent, under.substr(0, slash), tree_.look(parent));
        }
        add(real, under, info);
        if (S_ISDIR(info.st_mode)) contents(real, under, "");
    }

    void contents(const std::string& directory, const std::string& under,
                  const std::string& relative) {
        const SourceTree::Listing listing = tree_.list(directory);
        for (const SourceTree::Entry& entry : *listing) {
            const std::string own = path_below(relative, entry.name);
            const bool is_directory = S_ISDIR(entry.info.st_mode);
            const bool is_excluded = excluded_.ignores(own);
            if (is_excluded && !(is_directory && excluded_.has_exceptions())) continue;
            const size_t place = picks_.size();
            if (!S_ISSOCK(entry.info.st_mode))
                add(path_below(directory, entry.name), path_below(under, entry.name), entry.info);
            if (!is_directory) continue;
            contents(path_below(directory, entry.name), path_below(under, entry.name), own);
            // An excluded directory comes along if something in it does.
            if (is_excluded && picks_.size() == place + 1) picks_.pop_back();
        }
    }

    void add(const std::string& source, const std::string& under, const struct stat& info,
             bool is_named = false) {
        Pick pick{.source = source, .under = under, .is_named = is_named, .info = info};
        if (S_ISLNK(info.st_mode))
            pick.target = link_target(tree_.root().open(source, O_PATH | O_NOFOLLOW).get(), source);
        picks_.push_back(std::move(pick));
    }

    SourceTree& tree_;
    const CopyFiles& copy_;
    const IgnoreRules excluded_;
    std::vector<Pick> picks_;
};

void read_digest(const SourceTree& tree, Pick& pick, FileDigests* known, std::string& buffer) {
    const UniqueFd file = open_picked(tree, pick);
    const struct stat before = sys::fstat(file.get());
    Hasher hasher;
    for (ssize_t n; (n = ::read(file.get(), buffer.data(), buffer.size())) != 0;) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw SysError("read ", quoted(pick.source));
        hasher.update({buffer.data(), size_t(n)});
    }
    pick.digest = FileDigests::bytes_of(hasher.finish());
    pick.info = before;
    char value[4096];
    const ssize_t size = ::fgetxattr(file.get(), "security.capability", value, sizeof value);
    pick.capability.assign(value, size > 0 ? size_t(size) : 0);
    // One with capabilities is always read: what is known of a file does not tell of them.
    const struct stat after = sys::fstat(file.get());
    if (known && pick.capability.empty() && sys::same_time(before.st_ctim, after.st_ctim))
        known->add(before, *pick.digest);
}

}  // namespace

std::vector<Pick> pick_files(SourceTree& tree, const CopyFiles& copy) {
    return Picker(tree, copy).pick();
}

UniqueFd open_picked(const SourceTree& tree, const Pick& pick) {
    return reopen_regular(tree.root().open(pick.source, O_PATH | O_NOFOLLOW).get(), pick.source);
}

void read_digests(const SourceTree& tree, std::vector<Pick>& picks, FileDigests* known) {
    std::vector<Pick*> unread;
    for (Pick& pick : picks) {
        if (!S_ISREG(pick.info.st_mode)) continue;
        if (known) pick.digest = known->find(pick.info);
        if (!pick.digest) unread.push_back(&pick);
    }
    const size_t batches = (unread.size() + files_at_once - 1) / files_at_once;
    in_parallel(batches, readers, [&](size_t batch) {
        std::string buffer(block, '\0');
        const size_t end = std::min(unread.size(), (batch + 1) * files_at_once);
        for (size_t i = batch * files_at_once; i < end; ++i)
            read_digest(tree, *unread[i], known, buffer);
    });
}

Digest content_of(const std::vector<Pick>& picks, bool with_owners) {
    Hasher hasher;
    std::string fields;  // of some picks: a hash is quick by the block
    const auto add = [&](std::string_view field) {
        const uint64_t size = field.size();
        fields.append(reinterpret_cast<const char*>(&size), sizeof size).append(field);
    };
    std::map<std::pair<dev_t, ino_t>, size_t> linked;
    for (size_t i = 0; i < picks.size(); ++i) {
        const Pick& pick = picks[i];
        const mode_t type = pick.info.st_mode & S_IFMT;
        const bool is_destination = pick.under.empty();  // which looks as if it were made anew
        uint64_t numbers[5] = {is_destination ? type : pick.info.st_mode, pick.is_named, 0, 0, 0};
        if (with_owners && !is_destination)
            numbers[2] = uint64_t(pick.info.st_uid) << 32 | pick.info.st_gid;
        if (type == S_IFCHR || type == S_IFBLK) numbers[3] = pick.info.st_rdev;
        if (type != S_IFDIR && pick.info.st_nlink > 1) {
            const auto [first, is_new] =
                linked.try_emplace({pick.info.st_dev, pick.info.st_ino}, i + 1);
            if (!is_new) numbers[4] = first->second;
        }
        add(pick.under);
        add({reinterpret_cast<const char*>(numbers), sizeof numbers});
        add(pick.target);
        add(pick.capability);
        if (pick.digest)
            add({reinterpret_cast<const char*>(pick.digest->data()), pick.digest->size()});
        if (fields.size() < block) continue;
        hasher.update(fields);
        fields.clear();
    }
    hasher.update(fields);
    return hasher.finish();
}
