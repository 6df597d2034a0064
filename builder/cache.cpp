// What is hard: the cache must not give a step what another one made. A key is the digest of a
// step's fields, each with its length, so that "a" "bc" is not "ab" "c", and of a number that
// changes with what keg makes of a step. A record counts only if the blob that it names is there.
// It is written without fsync: a torn one is no record, and the step runs again.
#include "builder/cache.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"

namespace {
constexpr std::string_view kind = "keg build 4";
constexpr size_t most_record = 1 << 17;

std::vector<std::string> texts_of(Layers layers) {
    std::vector<std::string> out;
    for (const Digest& layer : layers) out.push_back(layer.text());
    return out;
}
}  // namespace

Digest step_key(Layers below, const std::vector<std::string>& fields) {
    Hasher hasher;
    hasher.field(kind);
    hasher.field(below.empty() ? "" : chain_ids(below).back().text());
    for (const std::string& field : fields) hasher.field(field);
    return hasher.finish();
}

std::string BuildCache::path_of(const Digest& key) const {
    return str(store_.root(), "/cache/", key.hex(), ".json");
}

std::string BuildCache::lock_path(const Digest& key) const {
    sys::make_directories(store_.root() + "/layers/locks", 0700);
    return str(store_.root(), "/layers/locks/step-", key.hex());
}

FileLock BuildCache::lock(const Digest& key) const { return FileLock(lock_path(key)); }

std::optional<FileLock> BuildCache::try_lock(const Digest& key) const {
    return FileLock::try_lock(lock_path(key));
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
        return layer;
    } catch (const std::exception&) {  // a torn record is no record
        return {};
    }
}

void BuildCache::remember(const Digest& key, const CachedLayer& layer, Layers below) const {
    const json::Value record{{"mediaType", layer.blob.media_type},
                             {"digest", layer.blob.digest},
                             {"size", layer.blob.size},
                             {"diffID", layer.diff_id.text()},
                             {"below", texts_of(below)}};
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
