// What nothing needs goes; what is not known to be needed by nothing stays. What an image needs
// stands in its documents. One that cannot be read (too many open files, a damaged disk, wrong
// bytes) may need anything: then nothing of that kind goes until it can be read, or is removed, or
// `keg system check` has found what is wrong.
//
// An unpacked layer is named aside while nothing can change, and removed after that: meanwhile
// others work.
#include <sys/file.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>

#include "base/directory.h"
#include "base/error.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/sys.h"
#include "base/tree_walk.h"
#include "image/build_cache.h"
#include "image/names.h"
#include "image/snapshots.h"
#include "image/store.h"

namespace {

constexpr size_t removals_at_once = 4;

// What images, containers and commands at work need.
struct Needed {
    std::set<std::string> blobs, diff_ids, layers;  // the last by ChainID
    bool all_blobs = false, all_layers = false;     // something cannot be read

    bool has_blob(const std::string& digest) const { return all_blobs || blobs.contains(digest); }
    bool has_layer(const std::string& chain_id) const {
        return all_layers || layers.contains(chain_id);
    }
    void add(Layers stack) {
        for (const Digest& id : stack) diff_ids.insert(id.text()), blobs.insert(id.text());
        for (const Digest& id : chain_ids(stack)) layers.insert(id.text());
    }
    void add(const Needed& more) {
        blobs.insert(more.blobs.begin(), more.blobs.end());
        diff_ids.insert(more.diff_ids.begin(), more.diff_ids.end());
        layers.insert(more.layers.begin(), more.layers.end());
        all_blobs |= more.all_blobs, all_layers |= more.all_layers;
    }
};

void add_leased(const std::string& root, Needed& needed) {
    constexpr std::string_view layer = "layer ";
    for (const std::string& word : leased(root))
        if (word.starts_with(layer))
            needed.layers.insert(word.substr(layer.size()));
        else
            needed.blobs.insert(word);
}

void add_containers(const ContainerLayers& containers, Needed& needed) {
    for (const auto& stack : containers.stacks) needed.add(stack);
    needed.all_layers |= !containers.complete;
}

// What builds remember needs its layers, too; what they need no more is forgotten.
void add_cached(const std::string& root, const CacheLimits& limits, Needed& needed) {
    std::vector<CacheRecord> records = cache_records(root);
    const size_t kept = within_limits(records, limits);
    for (size_t i = 0; i < records.size(); ++i) {
        const CacheRecord& record = records[i];
        if (i >= kept)
            attempt("removing " + record.path, [&] { sys::unlink(record.path); });
        else if (!record.blob.empty())
            needed.add(record.stack), needed.blobs.insert(record.blob);
    }
}

class Reach {
public:
    Reach(const Store& store, Needed& needed) : store_(store), needed_(needed) {}

    void image(const NamedImage& named) {
        shown_ = named.shown();
        ahead_ = {{named.descriptor, false}};
        while (!ahead_.empty()) {
            const Step step = std::move(ahead_.back());
            ahead_.pop_back();
            document(step);
        }
    }

private:
    struct Step {
        spec::Descriptor descriptor;
        bool may_be_missing;  // a layout need not have an index's images for other platforms
    };

    void document(const Step& step) {
        const auto& [descriptor, may_be_missing] = step;
        if (!needed_.blobs.insert(descriptor.digest).second || !Digest::is_valid(descriptor.digest))
            return;
        const std::string_view type = spec::oci_media_type(descriptor.media_type);
        if (type != spec::media::index && type != spec::media::manifest) return;
        if (may_be_missing && !store_.has_blob(Digest(descriptor.digest))) return;
        try {
            const std::string text = store_.read_blob(descriptor);
            if (type == spec::media::index)
                for (const auto& child : spec::read_index(text).manifests)
                    ahead_.push_back({child, true});
            // Every digest in it, wherever it stands: no field is forgotten.
            for (std::string& digest : Digest::all_in(text))
                if (type == spec::media::manifest) needed_.blobs.insert(std::move(digest));
            if (type == spec::media::manifest) layers_of(spec::read_manifest(text));
        } catch (const Error& e) {
            log_warning(
                str("image ", quoted(shown_),
                    " cannot be read, and nothing that it may need is removed: ", e.what()));
            needed_.all_blobs = needed_.all_layers = true;
        }
    }

    void layers_of(const spec::Manifest& manifest) {
        for (const spec::Descriptor& layer : manifest.layers) needed_.blobs.insert(layer.digest);
        needed_.blobs.insert(manifest.config.digest);
        if (spec::oci_media_type(manifest.config.media_type) != spec::media::config)
            return;  // an artifact
        std::vector<Digest> stack;
        for (const auto& id :
             spec::read_image_config(store_.read_blob(manifest.config)).rootfs.diff_ids)
            stack.emplace_back(id);
        needed_.add(stack);
    }

    const Store& store_;
    Needed& needed_;
    std::string shown_;
    std::vector<Step> ahead_;
};

// What is in ROOT/KIND/ALGORITHM/HEX; what has no digest's name is none of these.
void each_digest(
    const std::string& root, const std::string& kind,
    const std::function<void(const std::string& digest, const std::string& path)>& visit) {
    for (const std::string_view algorithm : Digest::algorithms()) {
        const std::string directory = str(root, "/", kind, "/", algorithm);
        for (const std::string& hex : names_in_if_exists(directory))
            if (const std::string digest = str(algorithm, ":", hex); Digest::is_valid(digest))
                visit(digest, directory + "/" + hex);
    }
}

class Collection {
public:
    Collection(const Store& store, const Needed& needed) : root_(store.root()), needed_(needed) {}

    // Several at once: each may wait for the disk, which has just been told of the names.
    void blobs() {
        std::vector<std::string> paths;
        each_digest(root_, "blobs", [&](const std::string& digest, const std::string& path) {
            if (!needed_.has_blob(digest)) paths.push_back(path);
        });
        in_parallel(paths.size(), removals_at_once, [&](size_t i) { drop(paths[i]); });
    }
    void layers() {
        each_digest(root_, "layers", [&](const std::string& chain_id, const std::string& path) {
            if (!needed_.has_layer(chain_id)) name_aside(path);
        });
    }
    // A record that names a blob or a layer which is gone says nothing any more.
    void cache() {
        for (const std::string& name : names_in_if_exists(root_ + "/cache")) {
            if (name.starts_with("files-")) continue;  // of a context, no blob's
            const std::string path = root_ + "/cache/" + name;
            attempt("reading " + path, [&] {
                const auto text = name.starts_with('.') ? std::nullopt : read_file_if_exists(path);
                const auto is_gone = [&](const std::string& digest) {
                    return !needed_.has_blob(digest) && !needed_.diff_ids.contains(digest);
                };
                if (!text || std::ranges::any_of(Digest::all_in(*text), is_gone))
                    drop(path);  // "." : of a build that was killed
            });
        }
    }
    // And signatures: what is said of a blob goes with it. But a list's images need not have their
    // layers here: their notes say where to have them from.
    void notes() {
        for (const char* kind : {"notes", "signatures"})
            each_name(kind, [&](const std::string& digest, const std::string& path) {
                if (!sys::exists(blob_of(digest)) && !needed_.blobs.contains(digest)) drop(path);
            });
    }
    // Of blobs that nobody has gone on with for a day.
    void partial() {
        constexpr time_t day = 24 * 60 * 60;
        each_name("partial", [&](const std::string&, const std::string& path) {
            const auto lock = FileLock::try_lock(path);
            if (lock && sys::fstat(lock->fd()).st_mtime < ::time(nullptr) - day) drop(path);
        });
    }
    // What was locked by who makes a layer or a step, and is nobody's now.
    void locks() {
        for (const std::string& name : names_in_if_exists(root_ + "/layers/locks")) {
            const std::string path = root_ + "/layers/locks/" + name;
            attempt("removing " + path, [&] {
                if (const auto lock = FileLock::try_lock(path)) sys::unlink(path);
            });
        }
    }
    // What was named aside.
    void finish() {
        for (const Claimed& layer : aside_) drop(layer.path);
    }
    uint64_t freed() const { return freed_; }

private:
    // Of ROOT/KIND/ALGORITHM-HEX.
    void each_name(
        const std::string& kind,
        const std::function<void(const std::string& digest, const std::string& path)>& visit) {
        for (const std::string& name : names_in_if_exists(str(root_, "/", kind))) {
            const std::string path = str(root_, "/", kind, "/", name);
            attempt("removing " + path, [&] {
                if (const auto digest = Digest::from_dashed(name))
                    visit(digest->text(), path);
                else
                    drop(path);
            });
        }
    }
    std::string blob_of(const std::string& digest) const {
        const Digest name(digest);
        return str(root_, "/blobs/", name.algorithm(), "/", name.hex());
    }
    void drop(const std::string& path) {
        attempt("removing " + path, [&] {
            const uint64_t size = disk_usage(path);
            sys::remove_tree(path);
            freed_ += size;
        });
    }
    // Held, so that it is ours to remove, and anybody's if we are killed.
    void name_aside(const std::string& layer) {
        const std::string aside =
            ::name_aside(root_ + "/tmp/layer-" + layer.substr(layer.rfind('/') + 1));
        attempt("removing " + layer, [&] {
            UniqueFd lock = sys::open(layer, O_RDONLY | O_DIRECTORY);
            sys::flock(lock.get(), LOCK_EX | LOCK_NB);
            if (::rename(layer.c_str(), aside.c_str()) < 0)
                return drop(layer);  // a full disk has no room for a name
            aside_.push_back({aside, std::move(lock)});
        });
    }

    const std::string& root_;
    const Needed& needed_;
    std::vector<Claimed> aside_;
    std::atomic<uint64_t> freed_ = 0;
};

// Which images need a blob or a layer: more than one share it.
struct Owners {
    using All = std::set<Store::DiskUse::OfImage*>;
    std::map<std::string, All> blobs, layers;

    void add(const Needed& needed, Store::DiskUse::OfImage& image) {
        for (const std::string& digest : needed.blobs) blobs[digest].insert(&image);
        for (const std::string& chain_id : needed.layers) layers[chain_id].insert(&image);
    }
};

}  // namespace

uint64_t Store::gc(const std::function<ContainerLayers()>& containers) const {
    return gc(containers, CacheLimits());
}

uint64_t Store::gc(const std::function<ContainerLayers()>& containers,
                   const CacheLimits& limits) const {
    collect_dead_work();
    std::optional<FileLock> alone(std::in_place, root_ + "/lock");
    // In this order: who ends a lease has written a container or a name before.
    Needed needed;
    add_leased(root_, needed);
    add_containers(containers(), needed);
    add_cached(root_, limits, needed);
    Names(root_).remove_torn();
    Reach reach(*this, needed);
    for (const NamedImage& image : manifests()) reach.image(image);

    Collection collection(*this, needed);
    collection.blobs();
    collection.layers();
    collection.cache();
    collection.notes();
    collection.partial();
    collection.locks();
    alone.reset();
    // From here others add again; nothing of what is left to do has a name that they look for.
    collection.finish();
    return collection.freed();
}

Store::DiskUse Store::disk_use(const ContainerLayers& containers,
                               const std::set<std::string>& used) const {
    const FileLock meanwhile_nothing_goes = keep_all();
    Needed by_any, by_used;
    add_containers(containers, by_used);
    DiskUse use;
    Owners owners;
    std::map<std::string, DiskUse::OfImage*> seen;  // by the manifest; null: it cannot be read
    for (const NamedImage& named : images()) {
        const auto [at, is_first] = seen.try_emplace(named.descriptor.digest, nullptr);
        if (is_first) {
            Needed own;
            Reach(*this, own).image(named);
            const auto image = try_load(named.descriptor);
            by_any.add(own);
            if (!image || used.contains(image->id().text())) by_used.add(own);
            if (image) {
                at->second = &use.images[image->id().text()];
                at->second->created = image->config.created;
                owners.add(own, *at->second);
            }
        }
        if (at->second && named.name) at->second->names.push_back(*named.name);
    }
    const auto add = [&](const std::string& path, bool is_used, const Owners::All& of) {
        const uint64_t bytes = disk_usage(path);
        use.bytes += bytes;
        if (!is_used) use.reclaimable += bytes;
        for (DiskUse::OfImage* image : of) (of.size() > 1 ? image->shared : image->unique) += bytes;
    };
    Needed by_cache;
    for (const CacheRecord& record : cache_records(root_)) {
        if (record.blob.empty()) continue;
        ++use.cache_records;
        by_cache.add(record.stack);
        by_cache.blobs.insert(record.blob);
    }
    each_digest(root_, "blobs", [&](const std::string& digest, const std::string& path) {
        if (by_any.has_blob(digest))
            add(path, by_used.has_blob(digest), owners.blobs[digest]);
        else if (by_cache.has_blob(digest))
            use.cache_bytes += disk_usage(path);
    });
    each_digest(root_, "layers", [&](const std::string& chain_id, const std::string& path) {
        if (by_any.has_layer(chain_id))
            add(path, by_used.has_layer(chain_id), owners.layers[chain_id]);
        else if (by_cache.has_layer(chain_id))
            use.cache_bytes += disk_usage(path);
    });
    return use;
}
