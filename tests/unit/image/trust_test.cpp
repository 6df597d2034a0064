// What signatures are good for: tests/data/signatures/vectors.json has those that cosign wrote, and
// those that an attacker would write.
#include <map>

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "image/subject.h"
#include "image/transport/transport.h"
#include "image/trust/cosign_key.h"
#include "image/trust/evidence.h"
#include "image/trust/judge.h"
#include "image/trust/policy.h"
#include "image/trust/sign.h"
#include "tests/unit/catch.h"
#include "tests/unit/scratch.h"

namespace {

const json::Value& vectors() {
    static const json::Value all = json::parse(read_file(TEST_DATA "/signatures/vectors.json"));
    return all;
}

std::string key_named(const std::string& name) {
    return vectors().at("keys").at(name).get<std::string>();
}

// The image of one case, with what lies beside it.
class Vector : public ImageSource {
public:
    explicit Vector(const std::string& name) : tags_(vectors().at("cases").at(name)) {}
    spec::Descriptor top() override { return *tagged(tags_.contains("v1") ? "v1" : "multi"); }
    std::optional<std::string> document(const spec::Descriptor& descriptor) override {
        const json::Value& blobs = vectors().at("blobs");
        const auto found = blobs.find(descriptor.digest);
        if (found == blobs.end()) return {};
        if (found->is_string()) return found->get<std::string>();
        return decode_base64(found->at("base64").get<std::string>());
    }
    ByteSource open(const spec::Descriptor&) override { throw Error("no blob is asked for"); }
    std::optional<spec::Descriptor> tagged(const std::string& tag) override {
        const auto found = tags_.find(tag);
        if (found == tags_.end()) return {};
        return spec::read_descriptor(found->dump());
    }
    std::vector<spec::Descriptor> referrers(const std::string& digest) override {
        const auto list = tagged(tag_of_referrers(digest));
        return list ? spec::read_index(*document(*list)).manifests
                    : std::vector<spec::Descriptor>();
    }

private:
    json::Value tags_;
};

std::string policy_text(const std::string& key, const std::string& identity) {
    return str(R"({"default": [{"type": "sigstoreSigned", "keyData": ")",
               encode_base64(key_named(key)), R"(", "signedIdentity": )", identity, "}]}");
}
const std::string its_repository =
    R"({"type": "exactRepository", "dockerRepository": "registry.example/keg/tiny"})";

// "" if it is accepted.
std::string problem_of(ImageSource& place, const TrustPolicy& policy,
                       const std::string& typed = "registry.example/keg/tiny:v1") {
    try {
        acceptance(policy, place,
                   Origin::registry(parse_reference(typed), typed))(chain_of(place, "linux/amd64"));
        return "";
    } catch (const Error& e) {
        return e.what();
    }
}
std::string problem_of(const std::string& name, const std::string& key,
                       const std::string& identity = its_repository) {
    Vector image(name);
    return problem_of(image, TrustPolicy::parse(policy_text(key, identity), "p.json"));
}

std::string error_in(const std::string& policy) {
    try {
        TrustPolicy::parse(policy, "p.json");
        return "";
    } catch (const Error& e) {
        return e.what();
    }
}

// What decides on that name: the first word of each scope's requirement.
std::string decided(const std::string& transports, const std::string& name) {
    const TrustPolicy policy = TrustPolicy::parse(
        R"({"default": [{"type": "reject"}], "transports": )" + transports + "}", "p.json");
    const auto requirements = policy.of(Origin::registry(parse_reference(name), name));
    return requirements.at(0).kind == Requirement::Kind::accept ? "accept" : "reject";
}

std::string identity_of(const IdentityRule& rule, const std::string& asked,
                        const std::optional<std::string>& signed_name) {
    return identity_problem(rule, parse_reference(asked), signed_name).empty() ? "ok" : "no";
}

}  // namespace

TEST_CASE("what cosign, podman and keg sign is taken, in all their forms") {
    for (const auto& [name, key] : std::map<std::string, std::string>{
             {"tag-good", "key"},
             {"tag-two-second-good", "key"},
             {"tag-identity-with-tag", "key"},
             {"tag-identity-other-tag", "key"},
             {"tag-ed25519", "ed25519"},
             {"tag-rsa-pkcs1", "rsa"},
             {"tag-p384-sha256", "p384"},
             {"tag-p384-sha384", "p384"},
             {"referrer-good", "key"},
         }) {
        INFO(name);
        CHECK(problem_of(name, key) == "");
        CHECK(problem_of(name, key == "key" ? "rsa" : "key") != "");
    }
}

TEST_CASE("what only looks like a signature of the image is refused, and the reason is told") {
    struct Case {
        std::string name, key, says;
    };
    for (const Case& each : std::vector<Case>{
             {"tag-unsigned", "key", "a signature was required, but no signature exists"},
             {"tag-wrong-key", "key", "cryptographic signature verification failed"},
             {"tag-wrong-digest", "key", "it is of \"sha256:6254"},
             {"tag-altered-payload", "key", "cryptographic signature verification failed"},
             {"tag-identity-other-repository", "key", "registry.example/keg/other"},
             {"tag-critical-extra-field", "key", "unknown property \"extra\""},
             {"tag-duplicate-key", "key", "has the property \"critical\" twice"},
             {"tag-other-type", "key", "unrecognized signature type"},
             {"tag-other-media-type", "key", "no signature exists"},
             {"tag-no-base64", "key", "is not base64"},
             {"tag-ecdsa-raw-r-s", "key", "cryptographic signature verification failed"},
             {"tag-ed25519ph", "ed25519", "cryptographic signature verification failed"},
             {"tag-rsa-pss", "rsa", "cryptographic signature verification failed"},
             {"referrer-wrong-key", "key", "cryptographic signature verification failed"},
             {"referrer-wrong-digest", "key", "it is of \"sha256:6254"},
             {"referrer-hint-lies", "key", "cryptographic signature verification failed"},
             {"referrer-attestation-only", "key", "an attestation is no signature"},
             {"referrer-annotation-lies", "key", "an attestation is no signature"},
         }) {
        INFO(each.name);
        const std::string problem = problem_of(each.name, each.key);
        CHECK_THAT(problem, ContainsSubstring(each.says));
        CHECK(problem.find('\n') == std::string::npos);
    }
}

TEST_CASE("an image is signed if it is, or if the index that led to it is") {
    CHECK(problem_of("index-signed-only", "key") == "");
    CHECK(problem_of("index-instance-signed-only", "key") == "");
    CHECK(problem_of("index-both-signed", "key") == "");
    CHECK(problem_of("referrer-index-signed-only", "key") == "");
    CHECK(problem_of("index-both-signed", "wrong") != "");
    // By its own digest, nobody says that it is of the index.
    Vector image("index-signed-only");
    const auto policy = TrustPolicy::parse(policy_text("key", its_repository), "p.json");
    const auto chain = chain_of(image, "linux/amd64");
    REQUIRE(chain.size() == 2);
    const Accept accept = acceptance(
        policy, image, Origin::registry(parse_reference("registry.example/keg/tiny"), "it"));
    CHECK_NOTHROW(accept(chain));
    CHECK_THROWS_WITH(accept({chain[1]}), ContainsSubstring(chain[1].digest));
}

TEST_CASE("the name that was signed must be the one that was asked for") {
    using Kind = IdentityRule::Kind;
    const std::string repo = "quay.io/lib/app", other = "quay.io/lib/other";
    const IdentityRule usual{};
    CHECK(identity_of(usual, repo + ":1", repo + ":1") == "ok");
    CHECK(identity_of(usual, repo + ":1", repo + ":2") == "no");
    CHECK(identity_of(usual, repo + ":1", repo) == "no");
    CHECK(identity_of(usual, repo + ":1", std::nullopt) == "no");
    const std::string digest = "sha256:" + std::string(64, 'a');
    CHECK(identity_of(usual, repo + "@" + digest, repo + ":2") == "ok");
    CHECK(identity_of(usual, repo + "@" + digest, other + ":2") == "no");
    CHECK(identity_of(usual, "alpine", "docker.io/library/alpine:latest") == "ok");
    const IdentityRule exact{.kind = Kind::match_exact};
    CHECK(identity_of(exact, repo + ":1", repo + ":1") == "ok");
    CHECK(identity_of(exact, repo + "@" + digest, repo + ":2") == "no");
    for (const IdentityRule& rule :
         {IdentityRule{.kind = Kind::match_repository},
          IdentityRule{.kind = Kind::repository_if_named},
          IdentityRule{.kind = Kind::exact_repository, .name = repo + ":9"}}) {
        CHECK(identity_of(rule, repo + ":1", repo) == "ok");
        CHECK(identity_of(rule, repo + ":1", repo + ":2") == "ok");
        CHECK(identity_of(rule, repo + ":1", other) == "no");
        CHECK(identity_of(rule, repo + ":1", std::nullopt) == "ok");
        CHECK(identity_of(rule, repo + ":1", "no name") == "no");
        CHECK(identity_of(rule, repo + ":1", "") == "no");
    }
    const IdentityRule fixed{.kind = Kind::exact_reference, .name = repo + ":1"};
    CHECK(identity_of(fixed, "mirror.example/x:7", repo + ":1") == "ok");
    CHECK(identity_of(fixed, repo + ":1", repo + ":2") == "no");
    CHECK(identity_of(fixed, repo + ":1", std::nullopt) == "no");
    const IdentityRule moved{
        .kind = Kind::remap_identity, .prefix = "mirror.example/a", .signed_prefix = "quay.io"};
    CHECK(identity_of(moved, "mirror.example/a/lib/app:1", repo + ":1") == "ok");
    CHECK(identity_of(moved, "mirror.example/a/lib/app:1", "mirror.example/a/lib/app:1") == "no");
    CHECK(identity_of(moved, "mirror.example/ab/app:1", "mirror.example/ab/app:1") == "ok");
    CHECK(problem_of(
              "tag-identity-with-tag", "key",
              R"({"type": "exactReference", "dockerReference": "registry.example/keg/tiny:v1"})") ==
          "");
    CHECK_THAT(
        problem_of(
            "tag-identity-other-tag", "key",
            R"({"type": "exactReference", "dockerReference": "registry.example/keg/tiny:v1"})"),
        ContainsSubstring("it is for \"registry.example/keg/tiny:v0\""));
    CHECK_THAT(problem_of("tag-good", "key", R"({"type": "matchRepoDigestOrExact"})"),
               ContainsSubstring("as cosign signs"));
}

TEST_CASE("the most special scope of a policy has the word alone") {
    const std::string scopes = R"({"docker": {
        "quay.io/lib/app:1": [{"type": "reject"}], "quay.io/lib": [{"type": "insecureAcceptAnything"}],
        "quay.io": [{"type": "reject"}], "*.example.com": [{"type": "insecureAcceptAnything"}],
        "b.example.com": [{"type": "reject"}],
        "localhost:5000": [{"type": "insecureAcceptAnything"}]}, "something": {"": [{"type": "reject"}]}})";
    CHECK(decided(scopes, "quay.io/lib/app:1") == "reject");
    CHECK(decided(scopes, "quay.io/lib/app:2") == "accept");
    CHECK(decided(scopes, "quay.io/lib/app") == "accept");
    CHECK(decided(scopes, "quay.io/library/app") == "reject");
    CHECK(decided(scopes, "a.example.com/app") == "accept");
    CHECK(decided(scopes, "a.example.com:5000/app") == "accept");
    CHECK(decided(scopes, "c.a.example.com/app") == "accept");
    CHECK(decided(scopes, "b.example.com/app") == "reject");
    CHECK(decided(scopes, "example.com/app") == "reject");
    CHECK(decided(scopes, "localhost:5000/app") == "accept");
    CHECK(decided(scopes, "localhost/app") == "reject");
    CHECK(decided(scopes, "alpine") == "reject");
    CHECK(decided(R"({"docker": {"": [{"type": "insecureAcceptAnything"}]}})", "alpine") ==
          "accept");
    CHECK(
        decided(
            R"({"docker": {"docker.io/library/alpine:latest": [{"type": "insecureAcceptAnything"}]}})",
            "alpine") == "accept");
}

TEST_CASE("a policy is read to the letter, or not at all") {
    const auto requirement = [](const std::string& text) {
        return error_in(R"({"default": [)" + text + "]}");
    };
    CHECK(requirement(R"({"type": "insecureAcceptAnything"})") == "");
    CHECK_THAT(error_in("{}"),
               ContainsSubstring("invalid policy in \"p.json\": default policy is missing"));
    CHECK_THAT(error_in(R"({"default": []})"), ContainsSubstring("must not be empty"));
    CHECK_THAT(error_in(R"({"default": null})"), ContainsSubstring("must not be empty"));
    CHECK_THAT(error_in(R"({"default": [{"type": "reject"}], "default": [{"type": "reject"}]})"),
               ContainsSubstring("\"default\" twice"));
    CHECK_THAT(error_in(R"({"Default": [{"type": "reject"}]})"),
               ContainsSubstring("unknown key \"Default\""));
    CHECK_THAT(error_in(R"({"default": [{"type": "reject"}]} x)"),
               ContainsSubstring("is not JSON"));
    CHECK_THAT(requirement(R"({"type": "reject", "a": 1})"),
               ContainsSubstring("unknown key \"a\""));
    CHECK_THAT(requirement(R"({"type": "frob"})"),
               ContainsSubstring("unknown policy requirement type \"frob\""));
    CHECK_THAT(requirement(R"({})"), ContainsSubstring("unknown policy requirement type \"\""));
    for (const char* keys :
         {"", R"(, "keyPath": "/a", "keyData": "YQ==")", R"(, "keyPath": "/a", "pki": {})"})
        CHECK_THAT(requirement(str(R"({"type": "sigstoreSigned")", keys, "}")),
                   ContainsSubstring("exactly one of keyPath"));
    CHECK(requirement(R"({"type": "sigstoreSigned", "keyPath": ""})") != "");
    CHECK_THAT(requirement(R"({"type": "sigstoreSigned", "keyPaths": []})"),
               ContainsSubstring("no entries"));
    CHECK_THAT(requirement(R"({"type": "sigstoreSigned", "keyData": "?"})"),
               ContainsSubstring("base64"));
    CHECK_THAT(requirement(R"({"type": "signedBy", "keyPath": "/a"})"),
               ContainsSubstring("invalid keyType"));
    const auto identity = [&](const std::string& text) {
        return requirement(R"({"type": "sigstoreSigned", "keyPath": "/a", "signedIdentity": )" +
                           text + "}");
    };
    CHECK(identity(R"({"type": "matchRepository"})") == "");
    CHECK_THAT(identity(R"({"type": "foo"})"),
               ContainsSubstring("unknown policy reference match type"));
    CHECK_THAT(identity(R"({"type": "matchExact", "x": ""})"),
               ContainsSubstring("unknown key \"x\""));
    CHECK_THAT(identity(R"({"type": "exactReference", "dockerReference": "a/b"})"),
               ContainsSubstring("neither a tag nor digest"));
    CHECK_THAT(
        identity(R"({"type": "remapIdentity", "prefix": "x.io/y:1", "signedPrefix": "a.io"})"),
        ContainsSubstring("is not valid"));
    const auto scope = [&](const std::string& transport, const std::string& name) {
        return error_in(str(R"({"default": [{"type": "reject"}], "transports": {")", transport,
                            R"(": {")", name, R"(": [{"type": "reject"}]}}})"));
    };
    CHECK(scope("oci", "/srv/images") == "");
    CHECK(scope("docker", "not a scope!!") == "");
    CHECK_THAT(scope("oci", "srv"), ContainsSubstring("expected an absolute path"));
    CHECK_THAT(scope("dir", "/"), ContainsSubstring("expected an absolute path"));
    CHECK_THAT(scope("dir", "/a/../b"), ContainsSubstring("expected an absolute path"));
    CHECK_THAT(scope("docker-archive", "/a"), ContainsSubstring("only \"\""));
}

TEST_CASE("what a policy asks for and keg has not refuses those images, and no others") {
    for (const auto& [text, named] : std::map<std::string, std::string>{
             {R"({"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"})", "signedBy"},
             {R"({"type": "signedBaseLayer"})", "signedBaseLayer"},
             {R"({"type": "sigstoreSigned", "fulcio": {}, "rekorPublicKeyPath": "/k"})",
              "rekorPublicKeyPath"},
             {R"({"type": "sigstoreSigned", "pki": {}})", "pki"},
             {R"({"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPath": "/k"})",
              "rekorPublicKeyPath"}}) {
        const auto policy = TrustPolicy::parse(
            R"({"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker": {"registry.example": [)" +
                text + "]}}}",
            "p.json");
        Vector image("tag-good");
        CHECK_THAT(problem_of(image, policy), ContainsSubstring(named));
        CHECK(problem_of(image, policy, "quay.io/app") == "");
    }
}

TEST_CASE("all of a policy's requirements must be met, and the keys of the command line as well") {
    Scratch scratch;
    const auto file = [&](const std::string& key) {
        write_file(scratch.path + "/" + key, key_named(key));
        return scratch.path + "/" + key;
    };
    Vector image("tag-good");
    TrustPolicy policy = TrustPolicy::anything();
    CHECK(problem_of(image, policy) == "");
    policy.require_key(file("key"));
    CHECK(problem_of(image, policy) == "");
    CHECK(problem_of(image, policy, "registry.example/keg/other") != "");
    policy.require_key(file("wrong"));
    CHECK_THAT(problem_of(image, policy), ContainsSubstring("by key " + file("wrong")));
    TrustPolicy rejects = TrustPolicy::parse(R"({"default": [{"type": "reject"}]})", "p.json");
    rejects.require_key(file("key"));
    CHECK_THAT(problem_of(image, rejects), ContainsSubstring("is rejected by policy p.json"));
    TrustPolicy missing = TrustPolicy::anything();
    missing.require_key(scratch.path + "/nothing");
    CHECK_THAT(problem_of(image, missing), ContainsSubstring("no such file"));
}

TEST_CASE("keys that are weak, of another kind, or more than one are refused") {
    CHECK_THROWS_WITH(PublicKey::from_pem("hello"), ContainsSubstring("no key in PEM"));
    CHECK_THROWS_WITH(PublicKey::from_pem(key_named("key") + key_named("wrong")),
                      ContainsSubstring("more than one part"));
    CHECK_THROWS_WITH(PublicKey::from_pem(vectors().at("private").at("rsa.pem").get<std::string>()),
                      ContainsSubstring("private key"));
    constexpr const char* short_rsa = R"(-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCjIJeKLKjXBWF+o0hqFLqr3E67
fGB6/aBpjt54Mijg88R+l4PUtbGtPHNLJiOxmsmPwlnyFU3R9bluAIgpTxjrhJvO
Z0XDTL/nqNuyvwZBMJaxhXWqaMyKRTjD+FtUsRJG6blXWWlB0/ArDWhONsYWkyHd
wQfQsNqr3LUk6R9aWwIDAQAB
-----END PUBLIC KEY-----
)";
    CHECK_THROWS_WITH(PublicKey::from_pem(short_rsa), ContainsSubstring("1024 bits"));
    constexpr const char* other_curve = R"(-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAElII8+guwyXBW4sad//igvYER1jcBH20s
DcYny0fpxD1M6qtT0VgD+PkGb22XwDGKztO8zJ2Ls7feTq4EpUmFRQ==
-----END PUBLIC KEY-----
)";
    CHECK_THROWS_WITH(PublicKey::from_pem(other_curve), ContainsSubstring("secp256k1"));
    CHECK(PublicKey::from_pem(key_named("key")).pem() == key_named("key"));
    CHECK(PublicKey::from_pem(key_named("key")).hint() ==
          "XDxYi5rJP/7+dakMncuvh/s+45AxQ8Va+sGzRqup7Ek=");
}

TEST_CASE("what keg signs is verified again, with openssl's keys and with cosign's") {
    Scratch scratch;
    for (const auto& [file, key] : std::map<std::string, std::string>{{"key.key", "key"},
                                                                      {"wrong.key", "wrong"},
                                                                      {"ed25519.key", "ed25519"},
                                                                      {"ed25519.pem", "ed25519"},
                                                                      {"rsa.pem", "rsa"},
                                                                      {"p384.pem", "p384"}}) {
        INFO(file);
        const std::string path = scratch.path + "/" + file;
        write_file(path, vectors().at("private").at(file).get<std::string>());
        const PrivateKey own = PrivateKey::read(
            path, [&] { return std::string(file == "wrong.key" ? "other" : "keg-test"); });
        CHECK(own.public_key().pem() == key_named(key));
        CHECK(PublicKey::from_pem(key_named(key)).verifies("some bytes", own.sign("some bytes")));
        CHECK_FALSE(
            PublicKey::from_pem(key_named(key)).verifies("other bytes", own.sign("some bytes")));
    }
    CHECK_THROWS_WITH(
        PrivateKey::read(scratch.path + "/key.key", [] { return std::string("guess"); }),
        ContainsSubstring("the passphrase is wrong"));
}

TEST_CASE("a signature is added to those that are there, once, and these stay as they are") {
    Vector image("tag-good");
    const Digest digest(image.top().digest);
    const std::string before = *image.document(*image.tagged(signature_tag(digest)));
    Scratch scratch;
    write_file(scratch.path + "/k", vectors().at("private").at("rsa.pem").get<std::string>());
    const PrivateKey key = PrivateKey::read(scratch.path + "/k", [] { return std::string(); });
    const Signature made = make_signature(key, digest, "registry.example/keg/tiny:v1");
    const SignatureManifest added = with_signature(before, layer_of(made));
    const auto layers = [](const std::string& text) { return json::parse(text).at("layers"); };
    REQUIRE(layers(added.text).size() == 2);
    CHECK(layers(added.text)[0] == layers(before)[0]);
    CHECK(with_signature(added.text, layer_of(made)).text == added.text);
    CHECK(json::parse(with_signature({}, layer_of(made)).text)["layers"][0]["annotations"].size() ==
          1);
    CHECK(
        write_payload("registry.example/keg/tiny", digest) ==
        R"({"critical":{"identity":{"docker-reference":"registry.example/keg/tiny"},"image":{"docker-manifest-digest":")" +
            digest.text() + R"("},"type":"cosign container image signature"},"optional":null})");
}

TEST_CASE("a bundle may have the signature of the image's own document") {
    Scratch scratch;
    write_file(scratch.path + "/k", vectors().at("private").at("p384.pem").get<std::string>());
    const PrivateKey key = PrivateKey::read(scratch.path + "/k", [] { return std::string(); });
    // Beside the image of a vector, a bundle that is made here.
    struct WithBundle : Vector {
        WithBundle() : Vector("tag-unsigned") {}
        std::optional<std::string> document(const spec::Descriptor& descriptor) override {
            const auto found = more.find(descriptor.digest);
            return found == more.end() ? Vector::document(descriptor) : found->second;
        }
        std::vector<spec::Descriptor> referrers(const std::string&) override {
            return {add(manifest)};
        }
        spec::Descriptor add(const std::string& text) {
            more[digest_of(text).text()] = text;
            return {.media_type = std::string(spec::media::manifest),
                    .digest = digest_of(text).text(),
                    .size = int64_t(text.size())};
        }
        std::map<std::string, std::string> more;
        std::string manifest;
    };
    const auto problem_with_bundle_of = [&](const std::string& bytes) {
        WithBundle image;
        spec::Descriptor layer = image.add(
            str(R"({"mediaType":")", signature_media::bundle,
                R"(","messageSignature":{"messageDigest":{"algorithm":"SHA2_256"},"signature":")",
                encode_base64(key.sign(bytes)), R"("}})"));
        layer.media_type = signature_media::bundle;
        spec::Manifest manifest{.media_type = std::string(spec::media::manifest),
                                .artifact_type = std::string(signature_media::bundle),
                                .config = layer,
                                .layers = {layer},
                                .subject = image.top()};
        image.manifest = spec::write(manifest);
        return problem_of(image, TrustPolicy::parse(policy_text("p384", its_repository), "p.json"));
    };
    Vector image("tag-unsigned");
    CHECK(problem_with_bundle_of(*image.document(image.top())) == "");
    CHECK_THAT(problem_with_bundle_of("another document"),
               ContainsSubstring("verification failed"));
}

TEST_CASE("a bundle is what its statement says, and none with two contents") {
    CHECK(write_statement(Digest("sha256:" + std::string(64, 'a'))) ==
          R"({"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":")" +
              std::string(64, 'a') +
              R"("}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}})");
    CHECK(statement_bytes("{}") == "DSSEv1 28 application/vnd.in-toto+json 2 {}");
    const std::string good = write_bundle("{}", "sig", "hint");
    CHECK(read_bundle(good).bytes == statement_bytes("{}"));
    json::Value both = json::parse(good);
    both["messageSignature"]["signature"] = "YQ==";
    CHECK_THROWS_WITH(read_bundle(json::dump(both)), ContainsSubstring("either"));
    json::Value other = json::parse(good);
    other["dsseEnvelope"]["payloadType"] = "text/plain";
    CHECK_THROWS_WITH(read_bundle(json::dump(other)), ContainsSubstring("no statement"));
    for (const char* broken : {"", "[]", "{}", "null", R"({"mediaType": 7})"})
        CHECK_THROWS_AS(read_bundle(broken), Error);
}
