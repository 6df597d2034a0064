// What is kept is read again as strictly as what a registry says: nothing is believed because it
// lies in the store. So it has the registry's form, and the same reader.
#include "image/trust/kept.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "image/files.h"
#include "image/trust/evidence.h"
#include "image/trust/sign.h"

namespace {

std::string kept_path(const Store& store, const Digest& image) {
    return str(store.root(), "/signatures/", image.dashed());
}

}  // namespace

void keep_signature(const Store& store, const Digest& image, const Signature& signature) {
    attempt("keeping the signature of " + image.text(), [&] {
        const std::string path = kept_path(store, image);
        sys::make_directories(path.substr(0, path.rfind('/')), 0700);
        const FileLock alone(store.root() + "/index.lock");
        spec::Descriptor layer = layer_of(signature);
        layer.data = encode_base64(signature.blob());
        const auto before = read_file_if_exists(path, most_document);
        const SignatureManifest added = with_signature(before, layer);
        if (!before || added.text != *before) replace_file(path, added.text, 0600);
    });
}

std::optional<spec::Descriptor> KeptSource::tagged(const std::string& tag) {
    constexpr std::string_view suffix = ".sig";
    if (!tag.ends_with(suffix)) return {};
    const auto image = Digest::from_dashed(tag.substr(0, tag.size() - suffix.size()));
    if (!image) return {};
    const auto text = read_file_if_exists(kept_path(store_, *image), most_document);
    if (!text) return {};
    return spec::Descriptor{.media_type = std::string(spec::media::manifest),
                            .digest = digest_of(*text).text(),
                            .size = int64_t(text->size()),
                            .data = encode_base64(*text)};
}
