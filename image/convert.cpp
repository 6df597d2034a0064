// What is hard here: an EROFS image says a directory whole where a tar may only imply it, and
// cannot name a file of a layer below. So no layer can be turned by itself: the layers are stacked
// one by one, and what each has changed in the tree is written down (layer/layer_tree.h), with
// contents from whatever layer has them.
#include "image/convert.h"

#include <unistd.h>

#include <functional>

#include "base/error.h"
#include "base/progress.h"
#include "base/sys.h"
#include "image/layer/decoder.h"
#include "image/layer/erofs_writer.h"
#include "image/layer/layer_tree.h"
#include "image/layer/zstd_writer.h"
#include "image/snapshots.h"

namespace {

using Sink = std::function<void(std::string_view)>;

// The plain bytes of a stack's layers.
class PlainLayers {
public:
    PlainLayers(const Store& store, Layers diff_ids) : store_(store), diff_ids_(diff_ids) {
        files_.resize(diff_ids.size());
    }

    void read(uint32_t layer, uint64_t at, std::span<char> to) {
        UniqueFd& file = files_[layer];
        if (!file) file = store_.open_blob(diff_ids_[layer]);
        while (!to.empty()) {
            const ssize_t got = ::pread(file.get(), to.data(), to.size(), off_t(at));
            if (got < 0 && errno == EINTR) continue;
            check(got, "read ", diff_ids_[layer].text());
            if (got == 0) throw Error(diff_ids_[layer].text(), " is too short");
            at += uint64_t(got), to = to.subspan(size_t(got));
        }
    }

private:
    const Store& store_;
    Layers diff_ids_;
    std::vector<UniqueFd> files_;
};

struct Written {
    spec::Descriptor blob;
    Digest diff_id;
};

// What `write` gives is kept as a blob of that form.
Written keep(const Store& store, LayerForm form, const std::function<void(const Sink&)>& write) {
    BlobWriter blob = store.new_blob();
    if (form == LayerForm::erofs) {
        write([&](std::string_view bytes) { blob.write(bytes); });
        Written written{.blob = blob.commit(spec::media::erofs_layer), .diff_id = {}};
        written.diff_id = Digest(written.blob.digest);  // of a plain image the two are one
        return written;
    }
    Hasher plain;
    ZstdWriter compressed([&](std::string_view bytes) { blob.write(bytes); });
    write([&](std::string_view bytes) {
        plain.update(bytes);
        compressed.write(bytes);
    });
    compressed.finish();
    return {.blob = blob.commit(spec::media::erofs_layer_zstd), .diff_id = plain.finish()};
}

void give_image(const Store& store, const Digest& diff_id, const Sink& sink) {
    const UniqueFd file = store.open_blob(diff_id);
    const ByteSource bytes = bytes_of(file.get());
    for (std::string_view piece = bytes(); !piece.empty(); piece = bytes()) sink(piece);
}

bool has_form(const spec::Descriptor& layer, LayerForm form) {
    return spec::oci_media_type(layer.media_type) ==
           (form == LayerForm::erofs ? spec::media::erofs_layer : spec::media::erofs_layer_zstd);
}

}  // namespace

Image convert_layers(const Store& store, Image image, LayerForm form) {
    const std::vector<Digest> diff_ids = image.diff_ids();
    const Snapshots snapshots(store);
    PlainLayers plain(store, diff_ids);
    const ReadTar read = [&](uint32_t layer, uint64_t at, std::span<char> to) {
        plain.read(layer, at, to);
    };
    FileTree tree;
    for (size_t i = 0; i < diff_ids.size(); ++i) {
        spec::Descriptor& layer = image.manifest.layers[i];
        const FileTree below = tree;
        snapshots.add_to(tree, image, i);
        store.settle();
        if (has_form(layer, form)) continue;
        const Written written = context("layer " + layer.digest, [&] {
            return keep(store, form, [&](const Sink& sink) {
                if (spec::is_erofs_layer(layer.media_type))
                    give_image(store, diff_ids[i], sink);
                else
                    write_erofs_image(layer_tree(below, tree), read, sink);
            });
        });
        layer = written.blob;
        image.config.rootfs.diff_ids[i] = written.diff_id.text();
    }
    return image;
}
