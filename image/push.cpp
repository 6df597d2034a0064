// Each blob is asked for first, then mounted from a repository of the same registry if it is
// remembered to be in one, and only then sent. What goes out is what is stored, byte for byte, with
// one exception: layers that are kept as plain tars (of what was built or loaded here) are
// compressed on the way, and the manifest that goes out names these. It is the stored document with
// other descriptors, so that what keg knows nothing of stays in it.
//
// The compressed form is not kept: what it was is remembered, so that nothing is compressed that
// the registry has.
#include "image/push.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>

#include "base/json.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/sys.h"
#include "image/blob_notes.h"
#include "image/documents.h"
#include "image/layer/decoder.h"
#include "image/registry/repository.h"
#include "image/transport/stored.h"

namespace {

constexpr size_t parallel_uploads = 3;

struct CompressedType {
    std::string_view plain, gzip, zstd;
};
constexpr CompressedType compressed_types[] = {
    {spec::media::layer, spec::media::layer_gzip, spec::media::layer_zstd},
    {spec::media::docker_layer, spec::media::docker_layer_gzip, spec::media::docker_layer_zstd},
};

// nullptr: it is no plain tar.
const CompressedType* type_of_plain(std::string_view media_type) {
    const auto* const found =
        std::ranges::find(compressed_types, media_type, &CompressedType::plain);
    return found == std::end(compressed_types) ? nullptr : found;
}

// Whose bytes are not everybody's to give away (older images of Windows): it says where they are.
bool is_kept_elsewhere(const spec::Descriptor& layer) {
    const std::string& type = layer.media_type;
    return !layer.urls.empty() &&
           (type.contains(".rootfs.foreign.") || type.contains(".layer.nondistributable."));
}

class Push {
public:
    Push(const Store& store, const Reference& name, const PushOptions& options)
        : store_(store), options_(options),
          compression_(options.compression.value_or(Compression{})),
          repository_(name, Hosts::load().to_push(name), "pull,push"),
          work_(store.work_dir("push")) {}

    Pushed image(const NamedImage& named) {
        const std::string& tag = named.name->tag;
        if (options_.platform.empty() && spec::is_index(named.descriptor.media_type)) {
            const Document top = read(named.descriptor);
            const std::string missing = missing_in(top);
            if (missing.empty()) return {tag, index(top, tag), ""};
            if (options_.whole) throw Error("pushing ", named.shown(), ": ", missing);
            const Image here = store_.load(named.descriptor);
            return {tag, manifest(read(here.descriptor), tag, false),
                    str("Not all multiplatform-content is present and only the available "
                        "single-platform image was pushed\n",
                        named.descriptor.digest, " -> ", here.descriptor.digest)};
        }
        const Image chosen = store_.load(named.descriptor, options_.platform);
        return {tag, manifest(read(chosen.descriptor), tag, may_compress(chosen.descriptor)), ""};
    }

private:
    // With all that it names and is here.
    Document read(const spec::Descriptor& descriptor) const {
        StoreSource stored(store_, descriptor);
        Documents documents(stored);
        Document top = documents.read(descriptor);
        documents.read_children(top, [&](const spec::Descriptor& child) {
            return store_.has_blob(Digest(child.digest));
        });
        return top;
    }

    // One that came from a registry keeps its digest, unless something else is asked for.
    bool may_compress(const spec::Descriptor& descriptor) const {
        const Digest digest(descriptor.digest);
        return options_.compression || !BlobNotes(store_, digest).is_somewhere(digest);
    }

    // Something is said of it under its digest, which it must keep then.
    static bool is_attested(const std::vector<spec::Descriptor>& entries,
                            const std::string& digest) {
        return std::ranges::any_of(entries, [&](const spec::Descriptor& entry) {
            const auto of = entry.annotations.find("vnd.docker.reference.digest");
            return of != entry.annotations.end() && of->second == digest;
        });
    }

    // What of all that an index names is neither here nor there, nor can be had by the registry
    // itself; "": nothing.
    std::string missing_in(const Document& document) {
        if (document.manifest) return missing_layer(document);
        auto here = document.children.begin();
        for (size_t i = 0; i < document.index->manifests.size(); ++i) {
            const spec::Descriptor& entry = document.index->manifests[i];
            const bool is_here = here != document.children.end() && here->entry == i;
            std::string missing = is_here                                  ? missing_in(*here++)
                                  : repository_.has_document(entry.digest) ? ""
                                                                           : lacks(entry);
            if (!missing.empty()) return missing;
        }
        return "";
    }
    std::string missing_layer(const Document& image) {
        for (const spec::Descriptor& layer : image.manifest->layers) {
            const Digest digest(layer.digest);
            const bool may_come = is_kept_elsewhere(layer) || store_.has_blob(digest) ||
                                  repository_.has_blob(layer) ||
                                  !BlobNotes(store_, digest).repositories(host(), digest).empty();
            if (!may_come) return lacks(image.descriptor) + ", of which layer " + layer.digest;
        }
        return "";
    }
    std::string lacks(const spec::Descriptor& manifest) const {
        return str("image ", manifest.digest, " is neither in the store (pull it first) nor in ",
                   host(), " as far as is known");
    }
    const std::string& host() const { return repository_.place().host; }

    // What it names before itself. Layers that are kept plain go compressed: then it names others.
    spec::Descriptor index(const Document& top, const std::string& name) {
        json::Value document = json::parse(top.text);
        bool is_same = true;
        for (const Document& child : top.children) {
            const std::string& digest = child.descriptor.digest;
            const bool compresses =
                may_compress(child.descriptor) && !is_attested(top.index->manifests, digest);
            const spec::Descriptor sent =
                child.index ? index(child, "") : manifest(child, "", compresses);
            if (sent.digest == digest) continue;
            is_same = false;
            document["manifests"][child.entry]["digest"] = sent.digest;
            document["manifests"][child.entry]["size"] = sent.size;
        }
        return put(top.descriptor, is_same ? top.text : json::dump(document), name);
    }

    spec::Descriptor manifest(const Document& document, const std::string& name, bool compress) {
        const spec::Manifest& image = *document.manifest;
        std::vector<spec::Descriptor> sent = image.layers;
        in_parallel(sent.size(), parallel_uploads, [&](size_t i) {
            if (is_kept_elsewhere(sent[i]))
                return Progress(Digest(sent[i].digest).short_hex()).finish("Skipped foreign layer");
            const CompressedType* const type =
                compress && compression_.kind != Compression::Kind::none
                    ? type_of_plain(sent[i].media_type)
                    : nullptr;
            if (type)
                send_compressed(sent[i], *type);
            else
                send_stored(sent[i]);
        });
        send_stored(image.config);
        return put(document.descriptor, with_layers(document.text, image, sent), name);
    }

    // The same document, but for layers that are not as they were.
    static std::string with_layers(const std::string& text, const spec::Manifest& image,
                                   const std::vector<spec::Descriptor>& sent) {
        bool is_same = true;
        json::Value document = json::parse(text);
        for (size_t i = 0; i < sent.size(); ++i) {
            if (sent[i].digest == image.layers[i].digest) continue;
            is_same = false;
            json::Value& layer = document["layers"][i];
            layer["mediaType"] = sent[i].media_type;
            layer["digest"] = sent[i].digest;
            layer["size"] = sent[i].size;
        }
        return is_same ? text : json::dump(document);
    }

    // By its digest, if it has no name there.
    spec::Descriptor put(spec::Descriptor descriptor, const std::string& text,
                         const std::string& name) {
        const std::string algorithm = Digest(descriptor.digest).algorithm();
        descriptor.digest = digest_of(text, algorithm).text();
        descriptor.size = int64_t(text.size());
        repository_.put({descriptor, text}, name.empty() ? descriptor.digest : name);
        return descriptor;
    }

    // --- blobs

    void send_stored(const spec::Descriptor& blob) {
        const Digest digest(blob.digest);
        if (is_sent(digest)) return;
        BlobNotes notes(store_, digest);
        Progress progress(digest.short_hex(), uint64_t(blob.size));
        if (!is_there(blob, notes, progress)) {
            if (!store_.has_blob(digest, blob.size))
                throw Error("blob ", blob.digest, " is not in the store: pull the image again");
            repository_.send(blob, store_.open_blob(digest).get(),
                             [&](uint64_t bytes) { progress.add(bytes); });
            progress.finish("Pushed");
        }
        note(notes, digest);
    }

    // The layer becomes what was sent in its place.
    void send_compressed(spec::Descriptor& layer, const CompressedType& type) {
        const Digest tar(layer.digest);
        const std::string how = compression_.text();
        BlobNotes notes(store_, tar);
        Progress progress(tar.short_hex());
        auto blob = notes.compressed(how);
        if (!blob || !is_there(*blob, notes, progress)) {
            const std::string path = str(work_.path(), "/", made_++);
            blob = compress(tar, path);
            notes.add_compressed(how, *blob);
            if (!is_there(*blob, notes, progress)) {
                repository_.send(*blob, sys::open(path, O_RDONLY).get(),
                                 [&](uint64_t bytes) { progress.add(bytes); });
                progress.finish("Pushed");
            }
            sys::unlink(path);
        }
        note(notes, Digest(blob->digest));
        layer.media_type = compression_.kind == Compression::Kind::gzip ? type.gzip : type.zstd;
        layer.digest = blob->digest;
        layer.size = blob->size;
    }

    // Asked for, then mounted.
    bool is_there(const spec::Descriptor& blob, const BlobNotes& notes, Progress& progress) {
        if (repository_.has_blob(blob)) {
            progress.finish("Layer already exists");
            return true;
        }
        const Place& place = repository_.place();
        for (const std::string& from : notes.repositories(place.host, Digest(blob.digest)))
            if (from != place.repository && repository_.mount(blob, from)) {
                progress.finish("Mounted from " + from);
                return true;
            }
        return false;
    }

    // Checked on the way: what is compressed is what the digest says.
    spec::Descriptor compress(const Digest& tar, const std::string& path) const {
        const UniqueFd from = store_.open_blob(tar);
        const UniqueFd to = sys::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        const Encoded made = encode(compression_, bytes_of(from.get()), tar.algorithm(), to.get());
        if (made.plain != tar) throw Error("blob ", tar.text(), " is damaged in the store");
        return {.digest = made.blob.text(), .size = made.size};
    }

    // Several images, or layers of one, may have a blob in common.
    bool is_sent(const Digest& digest) {
        const std::lock_guard one_thread(mutex_);
        return sent_.contains(digest);
    }
    void note(BlobNotes& notes, const Digest& digest) {
        const Place& place = repository_.place();
        notes.add_repository(place.host, place.repository, digest);
        const std::lock_guard one_thread(mutex_);
        sent_.insert(digest);
    }

    const Store& store_;
    const PushOptions& options_;
    Compression compression_;
    Repository repository_;
    WorkDir work_;
    std::atomic<size_t> made_ = 0;  // files in it
    std::mutex mutex_;
    std::set<Digest> sent_;
};

}  // namespace

void push(const Store& store, const Reference& repository, const std::vector<std::string>& tags,
          const PushOptions& options, const std::function<void(const Pushed&)>& done) {
    const Lease lease = store.use();
    Push work(store, repository, options);
    const std::vector<NamedImage> images = store.images();
    for (const std::string& tag : tags) {
        Reference name = repository;
        name.tag = tag, name.digest.clear();
        const auto found = std::ranges::find(images, std::optional(name), &NamedImage::name);
        if (found == images.end())
            throw Error("An image does not exist locally with the tag: ",
                        name.familiar_repository());
        done(work.image(*found));
    }
}
