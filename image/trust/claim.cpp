// What is hard: two programs may read one text in two ways, and then one of them is lied to by a
// signature that is good. So a payload has the properties that the format has, each once, and
// no others (only "optional" may hold anything); its type is this one. A bundle holds statements of
// any kind, made by the same key: the statement itself says whether it is a signature, not what
// stands around it. And the hint of a key, an annotation or a media type says nothing that counts.
#include "image/trust/claim.h"

#include <algorithm>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"

namespace {

constexpr std::string_view payload_type = "cosign container image signature";
constexpr std::string_view statement_type = "application/vnd.in-toto+json";
constexpr std::string_view statements[] = {"https://in-toto.io/Statement/v1",
                                           "https://in-toto.io/Statement/v0.1"};
constexpr size_t most_in_envelope = 16;  // in one envelope

std::string text_of(const json::Value& object, const char* name) {
    return json::at(name, [&] {
        std::string out;
        const auto found = object.is_object() ? object.find(name) : object.end();
        if (found == object.end()) throw Error("is missing");
        if (!found->is_string()) json::type_error(*found, "a string");
        json::read(*found, out);
        return out;
    });
}

const json::Value& part_of(const json::Value& object, const char* name) {
    const auto found = object.is_object() ? object.find(name) : object.end();
    return json::at(name, [&]() -> const json::Value& {
        if (found == object.end()) throw Error("is missing");
        return *found;
    });
}

std::string decoded(const char* what, std::string_view text) {
    auto bytes = decode_base64(text, Padding::optional);
    if (!bytes || bytes->empty()) throw Error(what, " is not base64");
    return std::move(*bytes);
}

// An object with these properties, all of them and no others.
const json::Value& exactly(const json::Value& object, std::vector<std::string_view> names) {
    if (!object.is_object()) json::type_error(object, "an object");
    for (const auto& [key, value] : object.items())
        if (std::erase(names, key) == 0) throw Error("unknown property ", quoted(key));
    if (!names.empty()) throw Error("has no property ", quoted(names.front()));
    return object;
}

// The DSSE envelope's "pre-authentication encoding" (secure-systems-lab/dsse, protocol.md).
std::string dsse_bytes(std::string_view type, std::string_view payload) {
    return str("DSSEv1 ", type.size(), " ", type, " ", payload.size(), " ", payload);
}

Signature read_envelope(const json::Value& envelope) {
    if (const std::string type = text_of(envelope, "payloadType"); type != statement_type)
        throw Error("payloadType: is ", quoted(type), ", which is no statement");
    Signature out{.form = SignedForm::statement};
    out.statement = decoded("payload", text_of(envelope, "payload"));
    out.bytes = dsse_bytes(statement_type, out.statement);
    const json::Value& all = part_of(envelope, "signatures");
    if (!all.is_array() || all.empty() || all.size() > most_in_envelope)
        throw Error("signatures: must be from 1 to ", most_in_envelope, " of them");
    for (const json::Value& each : all)
        out.signatures.push_back(decoded("sig", text_of(each, "sig")));
    return out;
}

SignedWords read_payload(const json::Value& document) {
    exactly(document, {"critical", "optional"});
    if (const json::Value& more = document["optional"]; !more.is_null() && !more.is_object())
        json::at("optional", [&] { json::type_error(more, "an object"); });
    const json::Value& critical = json::at("critical", [&]() -> const json::Value& {
        return exactly(document["critical"], {"type", "image", "identity"});
    });
    if (const std::string type = text_of(critical, "type"); type != payload_type)
        throw Error("unrecognized signature type ", quoted(type));
    const json::Value& image = exactly(critical["image"], {"docker-manifest-digest"});
    const json::Value& identity = exactly(critical["identity"], {"docker-reference"});
    return {.digests = {text_of(image, "docker-manifest-digest")},
            .name = text_of(identity, "docker-reference")};
}

SignedWords read_statement(const json::Value& document) {
    const std::string type = text_of(document, "_type");
    if (std::ranges::find(statements, type) == std::end(statements))
        throw Error("_type: is ", quoted(type), ", which is no statement");
    if (const std::string predicate = text_of(document, "predicateType");
        predicate != sign_predicate)
        throw Error("an attestation is no signature: predicateType is ", quoted(predicate));
    const json::Value& subjects = part_of(document, "subject");
    if (!subjects.is_array()) json::type_error(subjects, "an array");
    SignedWords out;
    for (const json::Value& subject : subjects) {
        const json::Value& digests = part_of(subject, "digest");
        for (const std::string_view algorithm : Digest::algorithms())
            if (digests.is_object() && digests.contains(algorithm))
                out.digests.push_back(
                    str(algorithm, ":", text_of(digests, std::string(algorithm).c_str())));
    }
    return out;
}

}  // namespace

bool is_bundle_type(std::string_view media_type) {
    constexpr std::string_view before = "application/vnd.dev.sigstore.bundle";
    if (!media_type.starts_with(before)) return false;
    const std::string_view rest = media_type.substr(before.size());
    return rest == ".v0.3+json" || rest == "+json;version=0.1" || rest == "+json;version=0.2" ||
           rest == "+json;version=0.3";
}

Signature read_cosign_signature(std::string payload, const std::string& annotation) {
    Signature out{.form = SignedForm::payload, .bytes = std::move(payload)};
    out.signatures.push_back(decoded("the signature", annotation));
    return out;
}

static Signature read_bundled(const std::string& text) {
    const json::Value bundle = json::parse(text);
    if (const std::string type = text_of(bundle, "mediaType"); !is_bundle_type(type))
        throw Error("mediaType: is ", quoted(type), ", which is no bundle");
    const bool has_envelope = bundle.contains("dsseEnvelope");
    if (has_envelope == bundle.contains("messageSignature"))
        throw Error("must have either dsseEnvelope or messageSignature");
    if (has_envelope)
        return json::at("dsseEnvelope", [&] { return read_envelope(bundle["dsseEnvelope"]); });
    // Its messageDigest is left alone: what was signed is the image's document itself.
    return json::at("messageSignature", [&] {
        return Signature{
            .form = SignedForm::document,
            .bytes = {},
            .signatures = {decoded("signature", text_of(bundle["messageSignature"], "signature"))}};
    });
}

Signature read_bundle(std::string text) {
    Signature out = read_bundled(text);
    out.bundle = std::move(text);
    return out;
}

SignedWords read_claim(const Signature& signature) {
    switch (signature.form) {
        case SignedForm::payload: return read_payload(json::parse(signature.bytes));
        case SignedForm::statement: return read_statement(json::parse(signature.statement));
        case SignedForm::document: {
            SignedWords itself;
            for (const std::string_view algorithm : Digest::algorithms())
                itself.digests.push_back(digest_of(signature.bytes, algorithm).text());
            return itself;
        }
    }
    throw Error("unreachable");
}

// --- written

std::string write_payload(const std::string& name, const Digest& image) {
    json::Value document;
    document["critical"]["identity"]["docker-reference"] = name;
    document["critical"]["image"]["docker-manifest-digest"] = image.text();
    document["critical"]["type"] = payload_type;
    document["optional"] = nullptr;
    return json::dump(document);
}

std::string write_statement(const Digest& image) {
    json::Value subject;
    subject["digest"][image.algorithm()] = image.hex();
    json::Value document;
    document["_type"] = statements[0];
    document["subject"] = json::Value::array({subject});
    document["predicateType"] = sign_predicate;
    document["predicate"] = json::Value::object();
    return json::dump(document);
}

std::string statement_bytes(std::string_view statement) {
    return dsse_bytes(statement_type, statement);
}

std::string write_bundle(std::string_view statement, std::string_view signature,
                         const std::string& hint) {
    json::Value envelope, one, document;
    one["sig"] = encode_base64(signature);
    envelope["payload"] = encode_base64(statement);
    envelope["payloadType"] = statement_type;
    envelope["signatures"] = json::Value::array({one});
    document["mediaType"] = signature_media::bundle;
    document["verificationMaterial"]["publicKey"]["hint"] = hint;
    document["dsseEnvelope"] = envelope;
    return json::dump(document);
}
