// What is hard: readers differ in what they ask of a signature, and one that all of them take is
// the only useful one. The name that is signed has its tag, for podman's usual rule wants one, and
// cosign does not look at it; the hash is SHA-256 (key.h); what was signed by others before stays,
// byte for byte, whatever kinds of annotations it has.
#include "image/trust/sign.h"

#include <algorithm>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "image/trust/evidence.h"

namespace {

constexpr const char* signature_key = "dev.cosignproject.cosign/signature";

spec::Descriptor descriptor_of(std::string_view bytes, std::string_view media_type) {
    return {.media_type = std::string(media_type),
            .digest = digest_of(bytes).text(),
            .size = int64_t(bytes.size())};
}

// An image's config without an image, as cosign and podman write it.
std::string config_for(const spec::Manifest& manifest) {
    json::Value config;
    config["architecture"] = config["os"] = "";
    config["config"] = json::Value::object();
    config["rootfs"]["type"] = "layers";
    json::Value& diff_ids = config["rootfs"]["diff_ids"] = json::Value::array();
    for (const spec::Descriptor& layer : manifest.layers) diff_ids.push_back(layer.digest);
    return json::dump(config);
}

}  // namespace

spec::Descriptor layer_of(const Signature& signature) {
    const bool is_payload = signature.form == SignedForm::payload;
    spec::Descriptor layer = descriptor_of(
        signature.blob, is_payload ? signature_media::simple_signing : signature_media::bundle);
    if (is_payload) layer.annotations[signature_key] = encode_base64(signature.signatures.front());
    return layer;
}

SignatureManifest with_signature(const std::optional<std::string>& before,
                                 const spec::Descriptor& layer) {
    SignatureManifest out;
    out.manifest.media_type = spec::media::manifest;
    if (before) out.manifest = spec::read_manifest(*before);
    const bool is_there =
        std::ranges::any_of(out.manifest.layers, [&](const spec::Descriptor& each) {
            return each.digest == layer.digest && each.annotations == layer.annotations;
        });
    if (!is_there) out.manifest.layers.push_back(layer);
    out.config = config_for(out.manifest);
    if (is_there) {
        out.text = *before;
        return out;
    }
    out.manifest.config = descriptor_of(out.config, spec::media::config);
    out.text = spec::write(out.manifest);
    return out;
}

Signature make_signature(const PrivateKey& key, const Digest& image, const std::string& name) {
    const std::string payload = write_payload(name, image);
    return read_cosign_signature(payload, encode_base64(key.sign(payload)));
}

void add_signature(ImageSource& from, ImageSink& to, const Digest& image,
                   const Signature& signature) {
    std::optional<std::string> before;
    if (const auto there = from.tagged(signature_tag(image))) {
        if (there->media_type != spec::media::manifest)
            throw Error(signature_tag(image), " is there, and no manifest of signatures");
        before = checked_document(from, *there);
    }
    const spec::Descriptor layer = layer_of(signature);
    const SignatureManifest added = with_signature(before, layer);
    if (before && added.text == *before) return;
    if (!to.has(layer)) to.put(layer, bytes_of(signature.blob));
    if (!to.has(added.manifest.config)) to.put(added.manifest.config, bytes_of(added.config));
    const spec::Descriptor manifest = descriptor_of(added.text, spec::media::manifest);
    to.put_document(manifest, added.text);
    to.finish(manifest);
}
