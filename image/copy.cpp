// What is hard: nothing may be named before all of it is there. So the documents are read from the
// top down (documents.h); then blobs go over, several at once; then the documents, from the bottom
// up.
//
// Where layers change (a place takes plain ones only), so do the manifest, its digest, and the
// index that names it: documents are written again from the bottom up as well.
#include "image/copy.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <ranges>
#include <set>

#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "image/documents.h"
#include "image/files.h"
#include "image/inline_data.h"
#include "image/layer/decoder.h"
#include "image/layer/read_ahead.h"
#include "image/platform.h"
#include "image/store.h"

namespace {

// As many bytes as the manifest says, or it throws.
ByteSource counted(const spec::Descriptor& blob, int64_t begin, ByteSource bytes,
                   Progress& progress) {
    progress.add(uint64_t(begin));
    return [&blob, &progress, bytes = std::move(bytes), left = blob.size - begin]() mutable {
        const std::string_view piece = bytes();
        left -= int64_t(piece.size());
        if (left < 0 || (piece.empty() && left > 0))
            throw Error("blob ", blob.digest, " has ", left < 0 ? "more" : "fewer", " than the ",
                        blob.size, " bytes that its manifest says");
        progress.add(piece.size());
        return piece;
    };
}

// What comes of `bytes` as they pass by is the blob, or it throws at its end.
ByteSource checked(const spec::Descriptor& blob, ByteSource bytes) {
    const Digest digest(blob.digest);
    const auto hasher = std::make_shared<Hasher>(digest.algorithm());
    return [=, ended = false]() mutable -> std::string_view {
        if (ended) return {};
        const std::string_view piece = bytes();
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
        : from_(from), to_(to), options_(options), documents_(from) {}

    spec::Descriptor run() {
        Document top = chosen(documents_.read(from_.top()));
        if (options_.accept) options_.accept(chain(top));
        if (top.manifest) to_.expect(*top.manifest);
        note_blobs(top);
        if (options_.same_digests && !(conversions_.empty() && changed_.empty()))
            throw Error("the digests cannot stay: other layers are asked for than ",
                        top.descriptor.digest, " has");
        move_blobs();
        if (!changed_.empty()) write_again(top);
        put_documents(top);
        const spec::Descriptor& named = put_indexes_above(top);
        to_.finish(named);
        return named;
    }

private:
    // --- the walk

    // All of an index, or what is for the platform.
    Document chosen(Document top) {
        if (options_.all) {
            documents_.read_children(top, options_.wanted);
            return top;
        }
        while (top.index) {
            const spec::Descriptor* const found = find_platform(*top.index, options_.platform);
            if (!found)
                throw Error("no matching manifest for ",
                            options_.platform.empty() ? host_platform() : options_.platform,
                            " in the manifest list entries of ", top.descriptor.digest);
            finds_again_ &= found == find_platform(*top.index, "");
            Document below = documents_.read(*found, above_.size() + 1);
            above_.push_back(std::exchange(top, std::move(below)));
        }
        return top;
    }

    std::vector<spec::Descriptor> chain(const Document& top) const {
        std::vector<spec::Descriptor> out;
        for (const Document& index : above_) out.push_back(index.descriptor);
        out.push_back(top.descriptor);
        return out;
    }

    // --- blobs

    void note_blobs(const Document& document) {
        for (const Document& child : document.children) note_blobs(child);
        if (!document.manifest) return;
        const spec::Manifest& manifest = *document.manifest;
        note_blob(manifest.config, configs_);
        const bool is_image =
            spec::oci_media_type(manifest.config.media_type) == spec::media::config;
        if (is_image && may_change_layers())
            return context("manifest " + document.descriptor.digest,
                           [&] { note_layers(manifest); });
        for (const spec::Descriptor& layer : manifest.layers) note_blob(layer);
    }

    void note_blob(const spec::Descriptor& blob) { note_blob(blob, blobs_); }
    void note_blob(const spec::Descriptor& blob, std::vector<spec::Descriptor>& among) {
        if (!Digest::is_valid(blob.digest)) throw Error("invalid digest ", quoted(blob.digest));
        if (blob.size < 0) throw Error("blob ", blob.digest, " has a negative size");
        if (noted_.insert(blob.digest).second) among.push_back(blob);
    }

    bool may_change_layers() const {
        return options_.compression || to_.form() == TakenLayers::plain ||
               (to_.form() == TakenLayers::compressed_if_made_up && from_.is_made_up());
    }
    Compression wanted() const {
        if (to_.form() == TakenLayers::plain) return {.kind = Compression::Kind::none};
        return options_.compression.value_or(Compression{});
    }

    void note_layers(const spec::Manifest& manifest) {
        spec::check_layers(manifest);
        const std::vector<std::string> diff_ids = config_of(manifest).rootfs.diff_ids;
        if (diff_ids.size() != manifest.layers.size())
            throw Error("it has ", manifest.layers.size(), " layers, but its config names ",
                        diff_ids.size());
        for (size_t i = 0; i < diff_ids.size(); ++i)
            note_layer(manifest.layers[i], Digest(diff_ids[i]));
    }

    // As it is (which an EROFS image stays), or plain if it is kept so, or made from what is there.
    void note_layer(const spec::Descriptor& layer, const Digest& diff_id) {
        const bool wants_plain = wanted().kind == Compression::Kind::none;
        const auto type = spec::oci_media_type(layer.media_type);
        if (type == layer_type(wanted().kind) || spec::is_erofs_layer(type))
            return note_blob(layer);
        if (const auto kept = wants_plain ? from_.plain(diff_id) : std::nullopt) {
            note_blob(*kept);
            changed_[layer.digest] = *kept;
            return;
        }
        conversions_.try_emplace(layer.digest, layer, diff_id);
    }

    static std::string_view layer_type(Compression::Kind kind) {
        switch (kind) {
            case Compression::Kind::none: return spec::media::layer;
            case Compression::Kind::gzip: return spec::media::layer_gzip;
            case Compression::Kind::zstd: return spec::media::layer_zstd;
        }
        throw Error("unreachable");
    }

    spec::ImageConfig config_of(const spec::Manifest& manifest) {
        return context("image config " + manifest.config.digest, [&] {
            return spec::read_image_config(documents_.text_of(manifest.config));
        });
    }

    // A few at a time; the first error stops the rest. Configs come first: they say what the layers
    // hold.
    void move_blobs() {
        in_parallel(configs_.size(), to_.at_once(), [&](size_t i) { move(configs_[i]); });
        std::vector<std::function<void()>> jobs;
        for (const spec::Descriptor& blob : blobs_) jobs.emplace_back([&] { move(blob); });
        for (const auto& [digest, conversion] : conversions_)
            jobs.emplace_back([&] {
                context("layer " + digest, [&] { convert(conversion.first, conversion.second); });
            });
        in_parallel(jobs.size(), to_.at_once(), [&](size_t i) { jobs[i](); });
    }

    void move(const spec::Descriptor& blob) {
        if (to_.has(blob)) {
            Progress(Digest(blob.digest).short_hex()).finish("Already exists");
            return;
        }
        Progress progress(Digest(blob.digest).short_hex(), uint64_t(blob.size));
        put(blob, [&](int64_t begin) {
            ByteSource bytes = counted(blob, begin, open(blob, begin), progress);
            return to_.compares_digests() ? bytes : checked(blob, std::move(bytes));
        });
        progress.finish(options_.moved);
    }

    // From the place, if it does not come with what names it.
    ByteSource open(const spec::Descriptor& blob, int64_t begin) {
        auto data = inline_data(blob);
        if (!data) return from_.open_at(blob, begin);
        const auto kept = std::make_shared<const std::string>(std::move(*data));
        return [kept, bytes = bytes_of(std::string_view(*kept).substr(size_t(begin)))] {
            return bytes();
        };
    }

    // Where one blob goes at a time, its bytes are read and hashed beside the writing.
    void put(const spec::Descriptor& blob, const BytesFrom& bytes) {
        if (to_.at_once() > 1) return to_.put(blob, bytes);
        to_.put(blob, [&](int64_t begin) -> ByteSource {
            const auto ahead = std::make_shared<ReadAhead>(bytes(begin));
            return [ahead] { return ahead->next(); };
        });
    }

    // By a file: a manifest and a tar say how large a blob is before it comes.
    void convert(const spec::Descriptor& layer, const Digest& diff_id) {
        Progress progress(Digest(layer.digest).short_hex(), uint64_t(layer.size));
        const ByteSource blob = checked(layer, counted(layer, 0, open(layer, 0), progress));
        const UniqueFd file = nameless_file();
        const auto plain = make_decoder(blob);
        const Encoded encoded =
            encode(wanted(), [&] { return plain->read(); }, diff_id.algorithm(), file.get());
        if (encoded.plain != diff_id)
            throw Error("it does not hold what its image says (", diff_id.text(), ")");
        const spec::Descriptor made{.media_type = std::string(layer_type(wanted().kind)),
                                    .digest = encoded.blob.text(),
                                    .size = encoded.size};
        if (!to_.has(made))
            put(made, [&](int64_t begin) {
                check(::lseek(file.get(), begin, SEEK_SET), "lseek");
                return bytes_of(file.get());
            });
        progress.finish(options_.moved);
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
        manifest.media_type = spec::media::manifest;  // which the new layers' types are of
        manifest.config.media_type = spec::oci_media_type(manifest.config.media_type);
        for (spec::Descriptor& layer : manifest.layers)
            layer.media_type = spec::oci_media_type(layer.media_type);
        return true;
    }

    // What is not copied stays named as long as nothing changes: it may come later.
    bool change_children(Document& parent) {
        std::vector<spec::Descriptor> entries;
        bool is_changed = false;
        for (Document& child : parent.children) {
            spec::Descriptor& entry = entries.emplace_back(parent.index->manifests[child.entry]);
            if (!write_again(child)) continue;
            entry.media_type = child.descriptor.media_type, entry.digest = child.descriptor.digest;
            entry.size = child.descriptor.size;
            is_changed = true;
        }
        if (is_changed) parent.index->manifests = std::move(entries);
        return is_changed;
    }

    void put_documents(const Document& document) {
        for (const Document& child : document.children) put_documents(child);
        to_.put_document(document.descriptor, document.text);
    }

    // Those through which the image was chosen, if the place keeps them and they still mean it.
    // Gives what is named: the uppermost one, if this machine finds the same image by it.
    const spec::Descriptor& put_indexes_above(const Document& chosen) {
        if (!to_.keeps_index() || above_.empty() || !changed_.empty()) return chosen.descriptor;
        for (const Document& index : std::views::reverse(above_))
            to_.put_document(index.descriptor, index.text);
        return finds_again_ ? above_.front().descriptor : chosen.descriptor;
    }

    ImageSource& from_;
    ImageSink& to_;
    const CopyOptions& options_;
    Documents documents_;
    std::vector<Document> above_;  // indexes, from the top down to what was chosen
    bool finds_again_ = true;      // by the first of them, this machine
    // In the order in which they are named, each once.
    std::vector<spec::Descriptor> configs_, blobs_;
    std::set<std::string> noted_;  // their digests
    std::map<std::string, std::pair<spec::Descriptor, Digest>> conversions_;
    std::mutex mutex_;
    std::map<std::string, spec::Descriptor> changed_;  // layers, by the digests that they had
};

}  // namespace

spec::Descriptor copy_image(ImageSource& from, ImageSink& to, const CopyOptions& options) {
    return Copy(from, to, options).run();
}
