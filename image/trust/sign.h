// Signatures are written as cosign writes them, so that all who read cosign's read these.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "image/store.h"
#include "image/transport/transport.h"
#include "image/trust/claim.h"
#include "image/trust/key.h"

// The manifest under the tag "sha256-HEX.sig", and the config that it names, which nobody reads.
struct SignatureManifest {
    std::string text, config;
    spec::Manifest manifest;
};
// With one more signature than `before` has, which may be nothing; the same if it is there already.
// Throws Error if `before` is something else.
SignatureManifest with_signature(const std::optional<std::string>& before,
                                 const spec::Descriptor& layer);
// How it is named there.
spec::Descriptor layer_of(const Signature& signature);

// The signature of an image, which is called `name`, with its tag or digest; and one that says no
// name, as a bundle.
Signature make_signature(const PrivateKey& key, const Digest& image, const std::string& name);
Signature make_bundle(const PrivateKey& key, const Digest& image);

// Adds it to those under its tag at `to`, whose tag is signature_tag(); `from` is asked for what is
// there. The last one who writes has the word, as with cosign.
void add_signature(ImageSource& from, ImageSink& to, const Digest& image,
                   const Signature& signature);

// A place to which documents can be added under a tag, or, without one, by their digest.
using SinkFor =
    std::function<std::unique_ptr<ImageSink>(const std::string& tag, const Digest& own)>;
// Adds a bundle as a manifest that refers to the image; where the place does not list it by itself,
// in the index under the tag "sha256-HEX", too.
void add_referrer(ImageSource& from, const SinkFor& sink_for, const spec::Descriptor& image,
                  const Signature& bundle);
