// What is hard: readers differ in what they ask of a signature, and one that all of them take is
// the only useful one. The name that is signed has its tag, for podman's usual rule wants one, and
// cosign does not look at it; the hash is SHA-256 (key.h); what was signed by others before stays,
// byte for byte, whatever kinds of annotations it has.
#include "image/trust/sign.h"

#include <algorithm>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "image/subject.h"
#include "image/trust/evidence.h"

namespace {

BytesFrom bytes_from(std::string_view text) {
    return [text](int64_t begin) { return bytes_of(text.substr(size_t(begin))); };
}

constexpr std::string_view no_config = "{}";
constexpr std::string_view no_config_type = "application/vnd.oci.empty.v1+json";

spec::Descriptor descriptor_of(std::string_view bytes, std::string_view media_type) {
    return {.media_type = std::string(media_type),
            .digest = digest_of(bytes).text(),
            .size = int64_t(bytes.size())};
}

// As cosign 3 writes it, but for the time, so that what is signed twice is there once.
spec::Manifest referring_manifest(const spec::Descriptor& image, const spec::Descriptor& bundle) {
    spec::Manifest out;
    out.media_type = spec::media::manifest;
    out.artifact_type = signature_media::bundle;
    out.config = descriptor_of(no_config, no_config_type);
    out.layers = {bundle};
    out.subject = spec::Descriptor{
        .media_type = image.media_type, .digest = image.digest, .size = image.size};
    out.annotations = {{"dev.sigstore.bundle.content", "dsse-envelope"},
                       {"dev.sigstore.bundle.predicateType", std::string(sign_predicate)}};
    return out;
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
        signature.blob(), is_payload ? signature_media::simple_signing : signature_media::bundle);
    if (is_payload)
        layer.annotations[signature_annotation] = encode_base64(signature.signatures.front());
    return layer;
}

// On the JSON itself: what keg knows nothing of stays, too.
SignatureManifest with_signature(const std::optional<std::string>& before,
                                 const spec::Descriptor& layer) {
    SignatureManifest out;
    out.manifest.media_type = spec::media::manifest;
    if (before) out.manifest = spec::read_manifest(*before);
    const bool is_there =
        std::ranges::any_of(out.manifest.layers, [&](const spec::Descriptor& each) {
            return each.digest == layer.digest && each.annotations == layer.annotations;
        });
    if (is_there) {
        out.text = *before;
        return out;
    }
    out.manifest.layers.push_back(layer);
    out.config = config_for(out.manifest);
    out.manifest.config = descriptor_of(out.config, spec::media::config);
    json::Value document = json::parse(before ? *before : spec::write(out.manifest));
    if (before) {
        document["config"] = json::parse(spec::write(out.manifest.config));
        document["layers"].push_back(json::parse(spec::write(layer)));
    }
    out.text = json::dump(document);
    return out;
}

Signature make_signature(const PrivateKey& key, const Digest& image, const std::string& name) {
    const std::string payload = write_payload(name, image);
    return read_cosign_signature(payload, encode_base64(key.sign(payload)));
}

Signature make_bundle(const PrivateKey& key, const Digest& image) {
    const std::string statement = write_statement(image);
    return read_bundle(
        write_bundle(statement, key.sign(statement_bytes(statement)), key.public_key().hint()));
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
    if (!to.has(layer)) to.put(layer, bytes_from(signature.blob()));
    if (!to.has(added.manifest.config)) to.put(added.manifest.config, bytes_from(added.config));
    const spec::Descriptor manifest = descriptor_of(added.text, spec::media::manifest);
    to.put_document(manifest, added.text);
    to.finish(manifest);
}

static bool lists(const std::vector<spec::Descriptor>& entries, const std::string& digest) {
    return std::ranges::find(entries, digest, &spec::Descriptor::digest) != entries.end();
}

void add_referrer(ImageSource& from, const SinkFor& sink_for, const spec::Descriptor& image,
                  const Signature& bundle) {
    const spec::Descriptor layer = layer_of(bundle);
    const spec::Manifest manifest = referring_manifest(image, layer);
    const std::string text = spec::write(manifest);
    spec::Descriptor entry = descriptor_of(text, spec::media::manifest);
    entry.artifact_type = manifest.artifact_type;
    const auto sink = sink_for("", Digest(entry.digest));
    if (!sink->has(layer)) sink->put(layer, bytes_from(bundle.blob()));
    if (!sink->has(manifest.config)) sink->put(manifest.config, bytes_from(no_config));
    sink->put_document(entry, text);
    sink->finish(entry);

    const Digest digest(image.digest);
    if (lists(from.referrers(image.digest), entry.digest)) return;
    const std::string tag = tag_of_referrers(image.digest);
    spec::Index index;
    index.media_type = spec::media::index;
    if (const auto before = from.tagged(tag))
        index = spec::read_index(checked_document(from, *before));
    index.manifests.push_back(entry);
    const std::string list = spec::write(index);
    const spec::Descriptor top = descriptor_of(list, spec::media::index);
    const auto tagged = sink_for(tag, Digest(top.digest));
    tagged->put_document(top, list);
    tagged->finish(top);
}
