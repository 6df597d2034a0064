// What a signature is, and what was signed by it: the documents of cosign and of Sigstore's
// bundles.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/digest.h"

namespace signature_media {
inline constexpr std::string_view simple_signing =
    "application/vnd.dev.cosign.simplesigning.v1+json";
inline constexpr std::string_view bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
inline constexpr std::string_view cosign_artifact =
    "application/vnd.dev.cosign.artifact.sig.v1+json";
}  // namespace signature_media
// The annotation of a payload's layer that has its signature.
inline constexpr const char* signature_annotation = "dev.cosignproject.cosign/signature";

// Is it a bundle's, in one of the two ways to write its version?
bool is_bundle_type(std::string_view media_type);

// Which of the forms was signed: cosign's payload, a bundle's statement, or the image's own
// document.
enum class SignedForm { payload, statement, document };

// A signature as it was found. Nothing is known of it before a key verified `bytes`.
struct Signature {
    SignedForm form = SignedForm::payload;
    std::string bytes;                    // that were signed; of a document: it is elsewhere
    std::vector<std::string> signatures;  // any of them may be the right one
    std::string bundle;                   // it came in, if it did
    std::string statement;                // in there
    // As it lies in a registry.
    const std::string& blob() const { return form == SignedForm::payload ? bytes : bundle; }
};

// cosign's: a payload, and the base64 of its signature as the annotation has it. Throws Error.
Signature read_cosign_signature(std::string payload, const std::string& annotation);
// A bundle's text. Throws Error for what holds no signature in one of its two forms.
Signature read_bundle(std::string text);

// What is said by those who signed.
struct SignedWords {
    std::vector<std::string> digests;  // of what it holds for, "sha256:…"
    std::optional<std::string> name;   // a bundle says none
};
// Throws Error for a document of another kind: an attestation is no signature, whoever made it.
SignedWords read_claim(const Signature& signature);

// --- written
// The payload, for an image of that name.
std::string write_payload(const std::string& name, const Digest& image);
// The statement; and the bundle around it with its signature. `hint` is the key's.
std::string write_statement(const Digest& image);
std::string statement_bytes(std::string_view statement);  // which are signed
std::string write_bundle(std::string_view statement, std::string_view signature,
                         const std::string& hint);

inline constexpr std::string_view sign_predicate = "https://sigstore.dev/cosign/sign/v1";
