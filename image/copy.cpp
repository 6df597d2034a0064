// What is hard: what a source says is a stranger's word, until bytes have the digest that somebody
// else gave for them; and nothing may be named before all of it is there. So one walk reads the
// documents from the top down, each against the descriptor that names it, and bounded in depth,
// number and bytes; then blobs go over, several at once; then the documents, from the bottom up.
//
// Where layers change (a place takes plain ones only), so do the manifest, its digest, and the
// index that names it: documents are written again from the bottom up as well.
#include "image/copy.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/progress.h"
#include "base/sys.h"
#include "image/files.h"
#include "image/layer/decoder.h"
#include "image/platform.h"
#include "image/store.h"

namespace {

constexpr size_t most_depth = 4;  // of indexes in indexes
constexpr size_t most_documents = 10'000, most_document_bytes = size_t(256) << 20;

struct Document {
    spec::Descriptor descriptor;
    std::string text;
    std::optional<spec::Manifest> manifest;  // or an index, with
    std::optional<spec::Index> index;
    std::vector<Document> children;  // those of the index, in its order
};

bool is_index(const spec::Descriptor& descriptor) {
    return spec::oci_media_type(descriptor.media_type) == spec::media::index;
}

// What comes of `bytes` as they pass by is the blob, or it throws, at its end at the latest.
ByteSource checked(const spec::Descriptor& blob, ByteSource bytes) {
    const Digest digest(blob.digest);
    const auto hasher = std::make_shared<Hasher>(digest.algorithm());
    return [=, left = blob.size, ended = false]() mutable -> std::string_view {
        if (ended) return {};
        const std::string_view piece = bytes();
        left -= int64_t(piece.size());
        if (left < 0 || (piece.empty() && left > 0))
            throw Error("blob ", digest.text(), " has ", left < 0 ? "more" : "fewer", " than the ",
                        blob.size, " bytes that its manifest says");
        hasher->update(piece);
        ended = piece.empty();
        if (ended && hasher->finish() != digest)
            throw Error("blob ", digest.text(), " is damaged: its bytes have another digest");
        return piece;
    };
}

class Copy {
public:
    Copy(ImageSource& from, ImageSink& to, const CopyOptions& options)
        : from_(from), to_(to), options_(options) {}

    spec::Descriptor run() {
        Document top = chosen(read(from_.top(), 0));
        note_blobs(top);
        if (options_.same_digests && !conversions_.empty())
            throw Error("the digests cannot stay: the place takes other layers than ",
                        top.descriptor.digest, " has");
        move_blobs();
        if (!changed_.empty()) write_again(top);
        put_documents(top);
        to_.finish(top.descriptor);
        return top.descriptor;
    }

private:
    // --- the walk

    // Of an index the children are read later, when it is known which are wanted.
    Document read(const spec::Descriptor& descriptor, size_t depth) {
        return context(str(is_index(descriptor) ? "index " : "manifest ", descriptor.digest), [&] {
            if (depth > most_depth) throw Error("indexes are nested too deep");
            if (++documents_ > most_documents)
                throw Error("the image has more than ", most_documents, " documents");
            Document out{.descriptor = descriptor, .text = text_of(descriptor)};
            const auto type = spec::oci_media_type(descriptor.media_type);
            if (type == spec::media::manifest)
                out.manifest = spec::read_manifest(out.text);
            else if (type == spec::media::index)
                out.index = spec::read_index(out.text);
            else
                throw Error("unsupported manifest media type ", quoted(descriptor.media_type));
            const std::string& inside =
                out.manifest ? out.manifest->media_type : out.index->media_type;
            if (!inside.empty() && inside != descriptor.media_type)
                throw Error("it is called ", quoted(descriptor.media_type), ", but is ",
                            quoted(inside));
            return out;
        });
    }

    std::string text_of(const spec::Descriptor& descriptor) {
        const Digest digest(descriptor.digest);
        auto text = from_.document(descriptor);
        if (!text) throw Error("it is not there");
        if (int64_t(text->size()) != descriptor.size)
            throw Error("it has ", text->size(), " bytes instead of ", descriptor.size);
        if (digest_of(*text, digest.algorithm()) != digest)
            throw Error("it is damaged: its bytes have another digest");
        if ((document_bytes_ += text->size()) > most_document_bytes)
            throw Error("the image's documents have more than ", most_document_bytes, " bytes");
        return std::move(*text);
    }

    // All of an index, or what is for the platform.
    Document chosen(Document top) {
        if (options_.all) {
            read_children(top, 0);
            return top;
        }
        for (size_t depth = 0; top.index; ++depth) {
            const spec::Descriptor* const found = find_platform(*top.index, options_.platform);
            if (!found)
                throw Error("no image for platform ",
                            options_.platform.empty() ? host_platform() : options_.platform,
                            " in index ", top.descriptor.digest);
            const spec::Descriptor descriptor = *found;  // its index goes
            top = read(descriptor, depth + 1);
        }
        return top;
    }

    void read_children(Document& parent, size_t depth) {
        if (!parent.index) return;
        for (const spec::Descriptor& child : parent.index->manifests) {
            parent.children.push_back(read(child, depth + 1));
            read_children(parent.children.back(), depth + 1);
        }
    }

    // --- blobs

    void note_blobs(const Document& document) {
        for (const Document& child : document.children) note_blobs(child);
        if (!document.manifest) return;
        const spec::Manifest& manifest = *document.manifest;
        note_blob(manifest.config);
        if (spec::oci_media_type(manifest.config.media_type) != spec::media::config ||
            to_.form() != LayerForm::plain) {
            for (const spec::Descriptor& layer : manifest.layers) note_blob(layer);
            return;
        }
        note_plain_layers(document);
    }

    void note_blob(const spec::Descriptor& blob) {
        Digest{blob.digest};
        if (blob.size < 0) throw Error("blob ", blob.digest, " has a negative size");
        if (noted_.insert(blob.digest).second) blobs_.push_back(blob);
    }

    // The place takes plain tars: those that are kept, the others are inflated.
    void note_plain_layers(const Document& document) {
        const spec::Manifest& manifest = *document.manifest;
        context("manifest " + document.descriptor.digest, [&] { spec::check_layers(manifest); });
        const std::vector<std::string> diff_ids = config_of(manifest).rootfs.diff_ids;
        if (diff_ids.size() != manifest.layers.size())
            throw Error("image ", document.descriptor.digest, " has ", manifest.layers.size(),
                        " layers, but its config names ", diff_ids.size());
        for (size_t i = 0; i < diff_ids.size(); ++i) {
            const spec::Descriptor& layer = manifest.layers[i];
            if (spec::oci_media_type(layer.media_type) == spec::media::layer) {
                note_blob(layer);
            } else if (const auto kept = from_.plain(Digest(diff_ids[i]))) {
                note_blob(*kept);
                changed_[layer.digest] = *kept;
            } else {
                conversions_.try_emplace(layer.digest, layer, Digest(diff_ids[i]));
            }
        }
    }

    spec::ImageConfig config_of(const spec::Manifest& manifest) {
        return context("image config " + manifest.config.digest,
                       [&] { return spec::read_image_config(text_of(manifest.config)); });
    }

    // A few at a time; the first error stops the rest.
    void move_blobs() {
        std::vector<std::function<void()>> jobs;
        for (const spec::Descriptor& blob : blobs_) jobs.emplace_back([&] { move(blob); });
        for (const auto& [digest, conversion] : conversions_)
            jobs.emplace_back([&] {
                context("layer " + digest, [&] { convert(conversion.first, conversion.second); });
            });
        std::atomic<size_t> next = 0;
        std::exception_ptr error;
        const auto work = [&] {
            for (size_t i; (i = next++) < jobs.size();) try {
                    jobs[i]();
                } catch (...) {
                    const std::lock_guard lock(mutex_);
                    if (!error) error = std::current_exception();
                    next = jobs.size();
                }
        };
        {
            std::vector<std::jthread> threads;
            for (size_t i = 1; i < std::min(to_.at_once(), jobs.size()); ++i)
                threads.emplace_back(work);
            work();
        }
        if (error) std::rethrow_exception(error);
    }

    void move(const spec::Descriptor& blob) {
        if (to_.has(blob)) {
            Progress(Digest(blob.digest).short_hex()).finish("Already exists");
            return;
        }
        Progress progress(Digest(blob.digest).short_hex(), uint64_t(blob.size));
        to_.put(blob, counted(checked(blob, from_.open(blob)), progress));
        progress.finish("Copied");
    }

    static ByteSource counted(ByteSource bytes, Progress& progress) {
        return [bytes = std::move(bytes), &progress] {
            const std::string_view piece = bytes();
            progress.add(piece.size());
            return piece;
        };
    }

    // By a file, because a tar says how large a file in it is before the file comes.
    void convert(const spec::Descriptor& layer, const Digest& diff_id) {
        Progress progress(Digest(layer.digest).short_hex(), uint64_t(layer.size));
        const ByteSource blob = counted(checked(layer, from_.open(layer)), progress);
        UniqueFd file = nameless_file();
        const auto plain = make_decoder(blob);
        Hasher hasher(diff_id.algorithm());
        int64_t size = 0;
        spool(
            [&] {
                const std::string_view piece = plain->read();
                hasher.update(piece), size += int64_t(piece.size());
                return piece;
            },
            file.get());
        if (hasher.finish() != diff_id)
            throw Error("layer ", layer.digest, " does not hold what its image says (",
                        diff_id.text(), ")");
        const spec::Descriptor made{
            .media_type = std::string(spec::media::layer), .digest = diff_id.text(), .size = size};
        to_.put(made, bytes_of(file.get()));
        progress.finish("Copied");
        const std::lock_guard lock(mutex_);
        changed_[layer.digest] = made;
    }

    // --- documents

    // Those with a changed layer; the others keep every byte.
    bool write_again(Document& document) {
        const bool is_changed =
            document.manifest ? change_layers(*document.manifest) : change_children(document);
        if (!is_changed) return false;
        document.text =
            document.manifest ? spec::write(*document.manifest) : spec::write(*document.index);
        spec::Descriptor& descriptor = document.descriptor;
        if (document.manifest) descriptor.media_type = document.manifest->media_type;
        descriptor.digest = digest_of(document.text).text();
        descriptor.size = int64_t(document.text.size());
        return true;
    }

    bool change_layers(spec::Manifest& manifest) const {
        bool is_changed = false;
        for (spec::Descriptor& layer : manifest.layers) {
            const auto found = changed_.find(layer.digest);
            if (found == changed_.end()) continue;
            layer = found->second;
            is_changed = true;
        }
        if (!is_changed) return false;
        manifest.media_type = spec::media::manifest;  // which the layers' types are of
        manifest.config.media_type = spec::oci_media_type(manifest.config.media_type);
        return true;
    }

    bool change_children(Document& parent) {
        bool is_changed = false;
        for (size_t i = 0; i < parent.children.size(); ++i) {
            if (!write_again(parent.children[i])) continue;
            const spec::Descriptor& child = parent.children[i].descriptor;
            spec::Descriptor& entry = parent.index->manifests[i];
            entry.media_type = child.media_type, entry.digest = child.digest;
            entry.size = child.size;
            is_changed = true;
        }
        return is_changed;
    }

    void put_documents(const Document& document) {
        for (const Document& child : document.children) put_documents(child);
        to_.put_document(document.descriptor, document.text);
    }

    ImageSource& from_;
    ImageSink& to_;
    const CopyOptions& options_;
    size_t documents_ = 0, document_bytes_ = 0;
    std::vector<spec::Descriptor> blobs_;  // in the order in which they are named, each once
    std::set<std::string> noted_;          // their digests
    std::map<std::string, std::pair<spec::Descriptor, Digest>> conversions_;
    std::mutex mutex_;
    std::map<std::string, spec::Descriptor> changed_;  // layers, by the digests that they had
};

}  // namespace

spec::Descriptor copy_image(ImageSource& from, ImageSink& to, const CopyOptions& options) {
    return Copy(from, to, options).run();
}
