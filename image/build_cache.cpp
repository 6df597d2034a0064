// A record counts only if the blob that it names is there. It is written without fsync: a torn one
// is no record, and the step runs again. When it was used last is its file's time.
#include "image/build_cache.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <set>

#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "base/tree_walk.h"

namespace {
constexpr size_t most_record = 1 << 17;

std::vector<std::string> texts_of(Layers layers) {
    std::vector<std::string> out;
    for (const Digest& layer : layers) out.push_back(layer.text());
    return out;
}
}  // namespace

std::string BuildCache::path_of(const Digest& key) const {
    return str(store_.root(), "/cache/", key.hex(), ".json");
}

FileLock BuildCache::lock(const Digest& key) const {
    sys::make_directories(store_.root() + "/layers/locks", 0700);
    return FileLock(str(store_.root(), "/layers/locks/step-", key.hex()));
}

std::optional<CachedLayer> BuildCache::find(const Digest& key) const {
    const auto text = read_file_if_exists(path_of(key), most_record);
    if (!text) return {};
    try {
        const json::Value record = json::parse(*text);
        CachedLayer layer{.blob = {.media_type = record.at("mediaType").get<std::string>(),
                                   .digest = record.at("digest").get<std::string>(),
                                   .size = record.at("size").get<int64_t>()},
                          .diff_id = Digest(record.at("diffID").get<std::string>())};
        if (!store_.has_blob(Digest(layer.blob.digest), layer.blob.size)) return {};
        ::utimensat(AT_FDCWD, path_of(key).c_str(), nullptr, 0);  // used now
        return layer;
    } catch (const std::exception&) {  // a torn record is no record
        return {};
    }
}

void BuildCache::remember(const Digest& key, const CachedLayer& layer, Layers below,
                          std::string_view kind) const {
    const json::Value record{{"mediaType", layer.blob.media_type},
                             {"digest", layer.blob.digest},
                             {"size", layer.blob.size},
                             {"diffID", layer.diff_id.text()},
                             {"below", texts_of(below)},
                             {"kind", kind}};
    replace_file(path_of(key), json::dump(record), 0600, Durability::rename_only);
}

std::optional<Digest> BuildCache::find_digest(const Digest& key) const {
    const auto text = read_file_if_exists(path_of(key), most_record);
    if (!text) return {};
    try {
        return Digest("sha256:" + json::parse(*text).at("content").get<std::string>());
    } catch (const std::exception&) {
        return {};
    }
}

// Its letters alone: whoever collects looks for digests of blobs.
void BuildCache::remember_digest(const Digest& key, const Digest& digest, Layers layers) const {
    const json::Value record{{"content", digest.hex()}, {"below", texts_of(layers)}};
    replace_file(path_of(key), json::dump(record), 0600, Durability::rename_only);
}

std::vector<CacheRecord> cache_records(const std::string& root) {
    std::vector<CacheRecord> out;
    for (const std::string& name : names_in_if_exists(root + "/cache")) {
        constexpr std::string_view ending = ".json";
        CacheRecord record{.path = str(root, "/cache/", name), .key = name};
        struct stat info{};
        if (!name.ends_with(ending) || ::stat(record.path.c_str(), &info) < 0) continue;
        record.key.resize(name.size() - ending.size());
        record.used = info.st_mtim.tv_sec;
        try {
            const json::Value document = json::parse(read_file(record.path, most_record));
            for (const json::Value& layer : document.at("below"))
                record.stack.emplace_back(layer.get<std::string>());
            if (document.contains("digest")) {
                record.blob = Digest(document.at("digest").get<std::string>()).text();
                record.bytes = document.at("size").get<uint64_t>();
                record.kind = document.at("kind").get<std::string>();
                record.stack.emplace_back(document.at("diffID").get<std::string>());
            }
        } catch (const std::exception&) {  // a torn record is no record
            continue;
        }
        out.push_back(std::move(record));
    }
    std::ranges::stable_sort(out, std::greater(), &CacheRecord::used);
    return out;
}

size_t within_limits(const std::vector<CacheRecord>& records, const CacheLimits& limits) {
    const int64_t oldest = ::time(nullptr) - limits.age.count();
    std::set<std::string_view> counted;
    uint64_t bytes = 0;
    size_t kept = 0;
    for (const CacheRecord& record : records) {
        if (counted.insert(record.blob).second) bytes += record.bytes;
        if (record.used <= oldest || bytes > limits.bytes) break;
        ++kept;
    }
    return kept;
}

void forget_files(const std::string& root) {
    for (const std::string& name : names_in_if_exists(root + "/cache"))
        if (name.starts_with("files-")) sys::unlink(str(root, "/cache/", name));
}

std::vector<CacheMount> cache_mounts(const std::string& root) {
    std::vector<CacheMount> out;
    for (const std::string& id : names_in_if_exists(root + "/mounts")) {
        CacheMount mount{.path = str(root, "/mounts/", id), .id = id};
        struct stat info{};
        if (::stat((mount.path + "/lock-0").c_str(), &info) < 0) continue;
        mount.used = info.st_mtim.tv_sec;
        out.push_back(std::move(mount));
    }
    return out;
}

uint64_t remove_cache_mount(const CacheMount& mount) {
    // Whoever takes one of several first has the lock of its number.
    std::vector<FileLock> locks;
    for (const std::string& name : names_in(mount.path)) {
        if (!name.starts_with("lock-")) continue;
        auto lock = FileLock::try_lock(str(mount.path, "/", name));
        if (!lock) return 0;
        locks.push_back(std::move(*lock));
    }
    const uint64_t bytes = disk_usage(mount.path);
    sys::remove_tree(mount.path);
    return bytes;
}
