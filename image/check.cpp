// What is hard: others work on the store meanwhile. What is gone by the time it is opened is no
// problem; a damaged blob is moved away by its name, and moved back if the name was another file by
// then (a load had just replaced it). A blob that cannot be read is named but not judged, and not
// moved. The order counts: blobs first, because an image is right only if those it names are;
// layers last, because only the blob of a right image says what an unpacked layer should be.
#include "image/check.h"

#include <sys/xattr.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/directory.h"
#include "base/log.h"
#include "base/sys.h"
#include "image/manifest_list.h"
#include "image/names.h"
#include "image/seals.h"
#include "image/snapshots.h"

namespace {

std::string path_of_layer(const Digest& chain_id) {
    return str("layers/", chain_id.algorithm(), "/", chain_id.hex());
}

class Check {
public:
    Check(const Store& store, bool repair) : store_(store), repair_(repair) {}

    CheckReport run() {
        leftovers();
        blobs();
        if (index()) {
            images();
            layers();
        }
        return std::move(report_);
    }

private:
    Problem& found(std::string kind, std::string object, std::string what) {
        return report_.problems.emplace_back(
            Problem{std::move(kind), std::move(object), std::move(what), {}});
    }

    void leftovers();
    void blobs();
    void blob(const Digest& digest);
    std::vector<std::string> digests_in(const std::string& directory) const;
    void odd_names(const char* kind, const std::string& directory);
    bool index();
    void make_index(const std::string& why);
    void images();
    void image(const NamedImage& named);
    bool is_there(const std::string& image, const char* what, const spec::Descriptor& descriptor);
    void layers();
    void unpack_again(const Image& image, Problem& problem) const;
    std::string quarantine(const std::string& path, const std::string& name,
                           const struct stat* expected);

    const Store& store_;
    const bool repair_;
    CheckReport report_;
    std::set<std::string> damaged_;  // digests
    std::map<std::string, Image>
        whole_;  // by the ChainID of each layer: an image whose documents are right
};

// To ROOT/quarantine/NAME, under a name of its own. If it is not `expected` any more (a load has
// just replaced it), it goes back. Gives what was done.
std::string Check::quarantine(const std::string& path, const std::string& name,
                              const struct stat* expected) {
    const std::string directory = store_.root() + "/quarantine";
    sys::make_directories(directory, 0700);
    std::string to = directory + "/" + name;
    for (int i = 2; sys::exists(to); ++i) to = str(directory, "/", name, ".", i);
    sys::rename(path, to);
    const struct stat moved = sys::lstat(to);
    if (expected && (moved.st_ino != expected->st_ino || moved.st_dev != expected->st_dev)) {
        sys::rename(to, path);
        return "replaced meanwhile by another command";
    }
    for (const std::string& changed : {directory, path.substr(0, path.rfind('/'))})
        sys::fsync_directory(changed);
    return "moved to quarantine/" + to.substr(directory.size() + 1);
}

void Check::leftovers() {
    const auto look = [&](const std::string& directory) {
        collect_dead(store_.root() + "/" + directory, [&](const std::string& path) {
            Problem& problem = found("leftover", path.substr(store_.root().size() + 1),
                                     "of a command that was killed");
            if (!repair_) return;
            remove_work(path);
            problem.repaired = "removed";
        });
    };
    look("tmp");
    look("leases");
}

void Check::blobs() {
    odd_names("blob", "blobs");
    for (const std::string& digest : digests_in("blobs")) blob(Digest(digest));
}

// Those of what lies in ROOT/DIRECTORY/ALGORITHM/HEX.
std::vector<std::string> Check::digests_in(const std::string& directory) const {
    std::vector<std::string> digests;
    for (const std::string_view algorithm : Digest::algorithms())
        for (const std::string& hex :
             names_in_if_exists(str(store_.root(), "/", directory, "/", algorithm)))
            if (std::string digest = str(algorithm, ":", hex); Digest::is_valid(digest))
                digests.push_back(std::move(digest));
    return digests;
}

void Check::odd_names(const char* kind, const std::string& directory) {
    for (const std::string_view algorithm : Digest::algorithms()) {
        const std::string below = str(directory, "/", algorithm);
        for (const std::string& hex : names_in_if_exists(str(store_.root(), "/", below)))
            if (!Digest::is_valid(str(algorithm, ":", hex)))
                found(kind, below + "/" + hex, "its name is no digest");
    }
}

void Check::blob(const Digest& digest) {
    const std::string path = store_.blob_path(digest);
    const auto file = sys::try_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!file && file.error() == ENOENT) return;  // removed meanwhile
    std::string wrong;
    struct stat info{};
    try {
        if (!file) throw SysError(file.error(), "open");
        info = sys::fstat(file->get());
        report_.blobs += 1, report_.bytes += uint64_t(info.st_size);
        Hasher hasher(digest.algorithm());
        std::string buffer(size_t(1) << 20, '\0');
        ssize_t got = 1;
        while (S_ISREG(info.st_mode) && got > 0) {
            got = ::read(file->get(), buffer.data(), buffer.size());
            // Of a sealed file it is the bytes that are wrong, which fs-verity has compared.
            if (got < 0 && errno == EIO && has_verity(path)) break;
            check(got, "read");
            hasher.update({buffer.data(), size_t(got)});
        }
        if (!S_ISREG(info.st_mode))
            wrong = "is no regular file";
        else if (got < 0)
            wrong = "is damaged: fs-verity gives some of its bytes no more";
        else if (const Digest bytes = hasher.finish(); bytes != digest)
            wrong = str("is damaged: its ", info.st_size, " bytes have the digest ", bytes.text());
        if (wrong.empty()) return;
    } catch (const Error& e) {
        found("blob", digest.text(), str("cannot be read: ", e.what()));  // and so not judged
        damaged_.insert(digest.text());
        return;
    }
    damaged_.insert(digest.text());
    Problem& problem = found("blob", digest.text(), wrong);
    if (repair_) problem.repaired = quarantine(path, digest.dashed(), &info);
}

bool Check::index() {
    try {
        Names::read(store_.root());
        return true;
    } catch (const SysError& e) {  // whether its words are right cannot be told
        found("index", "index.json", e.what());
        return false;
    } catch (const Error& e) {
        make_index(e.what());
        return repair_;
    }
}

// The names are lost; the images are not.
void Check::make_index(const std::string& why) {
    Problem& problem = found("index", "index.json", why);
    if (!repair_) return;
    const std::string path = store_.root() + "/index.json";
    if (sys::exists(path)) problem.repaired = quarantine(path, "index.json", nullptr) + ", and ";
    std::vector<spec::Descriptor> made;
    for (const std::string& digest : digests_in("blobs")) {
        if (damaged_.contains(digest)) continue;
        const int64_t size = sys::lstat(store_.blob_path(Digest(digest))).st_size;
        if (size > 4 << 20) continue;
        try {
            const spec::Manifest manifest =
                spec::read_manifest(store_.read_blob({.digest = digest, .size = size}));
            if (spec::oci_media_type(manifest.config.media_type) != spec::media::config) continue;
            const std::string type = manifest.media_type.empty()
                                         ? std::string(spec::media::manifest)
                                         : manifest.media_type;
            made.push_back({.media_type = type, .digest = digest, .size = size});
        } catch (const Error&) {  // a config, a layer
        }
    }
    Names::write(store_.root(), made);
    problem.repaired +=
        str("made anew with the ", made.size(), " images that are there, without their names");
}

void Check::images() {
    std::set<std::string_view> names;
    const NameTable table = Names::read(store_.root());
    for (const NameTable::Entry& entry : table.entries()) {
        if (!entry.name.empty() && !names.insert(entry.name).second)
            found("name", std::string(entry.name), "is there twice in index.json");
        if (!Digest::is_valid(entry.digest))
            found("name", std::string(entry.name.empty() ? entry.digest : entry.name),
                  str("means ", quoted(entry.digest), ", which is no digest"));
        else
            image({reference_of(entry.name), entry.descriptor()});
    }
}

bool Check::is_there(const std::string& image, const char* what,
                     const spec::Descriptor& descriptor) {
    const std::string shown = str(what, " ", descriptor.digest);
    if (!Digest::is_valid(descriptor.digest)) {
        found("image", image, shown + ": is no digest");
        return false;
    }
    struct stat info{};
    if (damaged_.contains(descriptor.digest))
        found("image", image, shown + " is damaged; load or pull the image again, or remove it");
    else if (::stat(store_.blob_path(Digest(descriptor.digest)).c_str(), &info) < 0)
        found("image", image, shown + " is missing; load or pull the image again, or remove it");
    else if (info.st_size != descriptor.size)
        found("image", image,
              str(shown, " has ", info.st_size, " bytes instead of ", descriptor.size));
    else
        return true;
    return false;
}

void Check::image(const NamedImage& named) {
    report_.images += 1;
    const std::string shown = named.shown();
    const bool is_index = spec::is_index(named.descriptor.media_type);
    if (!is_there(shown, is_index ? "index" : "manifest", named.descriptor)) return;
    if (is_for_others(store_, named.descriptor)) return;
    const auto image = store_.try_load(named.descriptor);
    if (!image) {
        // Why may be said by what it leads to already.
        found("image", shown, image.error().what());
        return;
    }
    // A list may name an image whose layers are elsewhere, all of them.
    const std::vector<spec::Descriptor>& layers = image->manifest.layers;
    if (is_index && !layers.empty() &&
        std::ranges::none_of(layers, [&](const spec::Descriptor& layer) {
            return store_.has_blob(Digest(layer.digest));
        }))
        return;
    bool whole = is_there(shown, "config", image->manifest.config);
    for (const spec::Descriptor& layer : layers) whole &= is_there(shown, "layer", layer);
    if (whole)
        for (const Digest& id : chain_ids(image->diff_ids())) whole_.try_emplace(id.text(), *image);
}

void Check::layers() {
    const Snapshots snapshots(store_);
    odd_names("layer", "layers");
    for (const std::string& id : digests_in("layers")) {
        const std::string path = path_of_layer(Digest(id));
        report_.layers += 1;
        const auto of = whole_.find(id);
        if (of == whole_.end())
            continue;  // a container's, or nobody's: there is no blob to compare it with
        const std::vector<Digest> all = of->second.diff_ids(), ids = chain_ids(all);
        const size_t at = size_t(std::ranges::find(ids, id, &Digest::text) - ids.begin());
        if (!snapshots.can_mount({all.data(), at})) continue;  // what it lies on is named below
        std::string wrong;
        try {
            wrong = snapshots.difference(of->second.manifest.layers[at], {all.data(), at + 1});
        } catch (const Error& e) {
            wrong = str("cannot be compared with its blob: ", e.what());
            found("layer", path, wrong);
            continue;
        }
        if (wrong.empty()) continue;
        Problem& problem = found("layer", path, wrong);
        if (!repair_) continue;
        problem.repaired =
            quarantine(store_.root() + "/" + path, "layer-" + Digest(id).hex(), nullptr);
        problem.repaired += ", and ";
        unpack_again(of->second, problem);
    }
    // One that is gone is in no list of those that are there. An image of which nothing is unpacked
    // is no problem: it waits for its first container.
    for (const auto& [top, image] : whole_) {
        const std::vector<Digest> ids = chain_ids(image.diff_ids());
        if (top != ids.back().text() || !snapshots.has(ids.back())) continue;
        const auto gone = snapshots.missing(image.diff_ids());
        if (!gone) continue;
        Problem& problem =
            found("layer", path_of_layer(*gone), "is gone from below " + path_of_layer(ids.back()));
        if (repair_) unpack_again(image, problem);
    }
}

void Check::unpack_again(const Image& image, Problem& problem) const {
    attempt("unpacking the layer again", [&] {
        Snapshots(store_).unpack(image, Snapshots::Trust::nothing);
        problem.repaired += "unpacked anew";
    });
}

}  // namespace

CheckReport check_store(const Store& store, bool repair) {
    const Lease lease = store.use();
    return Check(store, repair).run();
}
