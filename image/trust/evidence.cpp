// What is hard: all of this is a stranger's, and comes before anything was verified. So little is
// read, each document is bounded and has the digest that named it, and what is odd about one
// signature is a problem of that one: another may be good. What a list says of its entries is not
// believed (one registry gives every artifact the wrong type), only used to look first at those
// that seem right; a manifest says itself what it is and whose subject it has.
#include "image/trust/evidence.h"

#include <algorithm>

#include "base/error.h"

namespace {

constexpr size_t most_signatures = 100, most_referring = 100;
constexpr size_t most_bytes = size_t(8) << 20;

class Search {
public:
    Search(ImageSource& place, const spec::Descriptor& image) : place_(place), image_(image) {}

    Evidence by_tag() {
        if (const auto tagged = place_.tagged(signature_tag(Digest(image_.digest))))
            attempt_one([&] { take_manifest(*tagged, false); });
        return std::move(found_);
    }
    Evidence as_referrers() {
        std::vector<spec::Descriptor> listed = place_.referrers(image_.digest);
        std::ranges::stable_partition(listed, [](const spec::Descriptor& entry) {
            return is_bundle_type(entry.artifact_type);
        });
        if (listed.size() > most_referring) listed.resize(most_referring);
        for (const spec::Descriptor& entry : listed)
            if (spec::oci_media_type(entry.media_type) == spec::media::manifest)
                attempt_one([&] { take_manifest(entry, true); });
        return std::move(found_);
    }

private:
    void attempt_one(auto&& step) try { step(); } catch (const Error& e) {
        found_.problems.emplace_back(e.what());
    }

    std::string text_of(const spec::Descriptor& descriptor) {
        if (descriptor.size > int64_t(most_bytes - bytes_))
            throw Error("the signatures of ", image_.digest, " have more than ", most_bytes,
                        " bytes");
        std::string text = checked_document(place_, descriptor);
        bytes_ += text.size();
        return text;
    }

    // What refers to the image must say so itself; what has its tag is bound by the digest that was
    // signed.
    void take_manifest(const spec::Descriptor& descriptor, bool refers) {
        if (descriptor.media_type != spec::media::manifest)
            throw Error("a signature's manifest has the media type ",
                        quoted(descriptor.media_type));
        const spec::Manifest manifest = spec::read_manifest(text_of(descriptor));
        if (refers) {
            if (!manifest.subject || manifest.subject->digest != image_.digest) return;
            if (!is_bundle_type(manifest.artifact_type) &&
                manifest.artifact_type != signature_media::cosign_artifact)
                return;
        }
        for (const spec::Descriptor& layer : manifest.layers) {
            if (found_.signatures.size() >= most_signatures) return;
            attempt_one([&] { take_layer(layer); });
        }
    }

    void take_layer(const spec::Descriptor& layer) {
        if (is_bundle_type(layer.media_type)) {
            Signature signature =
                context("bundle " + layer.digest, [&] { return read_bundle(text_of(layer)); });
            if (signature.form == SignedForm::document) signature.bytes = text_of(image_);
            found_.signatures.push_back(std::move(signature));
        }
        if (layer.media_type != signature_media::simple_signing) return;
        const auto annotation = layer.annotations.find(signature_annotation);
        if (annotation == layer.annotations.end())
            throw Error("missing ", signature_annotation, " annotation");
        found_.signatures.push_back(read_cosign_signature(text_of(layer), annotation->second));
    }

    ImageSource& place_;
    const spec::Descriptor& image_;
    Evidence found_;
    size_t bytes_ = 0;
};

}  // namespace

std::string signature_tag(const Digest& image) { return image.dashed() + ".sig"; }

Evidence find_signatures(ImageSource& place, const spec::Descriptor& image, Beside where) {
    Search search(place, image);
    return where == Beside::by_tag ? search.by_tag() : search.as_referrers();
}
