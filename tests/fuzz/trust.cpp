// What signatures and policies say: each of their readers.
#include "image/trust/claim.h"
#include "image/trust/policy.h"
#include "tests/fuzz/fuzz.h"

void take(std::string_view input) {
    const std::string text(input);
    for (const SignedForm form : {SignedForm::payload, SignedForm::statement})
        is_taken([&] {
            const Signature signature{.form = form, .bytes = text, .statement = text};
            const SignedWords words = read_claim(signature);
            expect(form == SignedForm::statement || words.name, "a payload says a name");
            for (const IdentityRule::Kind kind :
                 {IdentityRule::Kind::match_exact, IdentityRule::Kind::repository_if_named})
                identity_problem({.kind = kind}, parse_reference("quay.io/lib/app:1"), words.name);
        });
    is_taken([&] { expect(!read_bundle(text).signatures.empty(), "a bundle has a signature"); });
    is_taken([&] {
        const TrustPolicy policy = TrustPolicy::parse(text, "policy.json");
        for (const char* name : {"alpine", "quay.io/lib/app:1", "a.example.com:5000/x"})
            expect(!policy.of(Origin::registry(parse_reference(name), name)).empty(),
                   "a policy asks for something of every image");
    });
}

std::vector<std::string> seeds() {
    const Digest image("sha256:" + std::string(64, 'a'));
    const std::string statement = write_statement(image);
    return {
        write_payload("quay.io/lib/app:1", image), statement,
        write_bundle(statement, "signature", "hint"),
        R"({"default":[{"type":"reject"}],"transports":{"docker":{"quay.io":[{"type":"sigstoreSigned",
            "keyPaths":["/k"],"signedIdentity":{"type":"remapIdentity","prefix":"a.io","signedPrefix":"b.io"}}],
            "":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k"}]},"oci":{"/srv":[{"type":"insecureAcceptAnything"}]}}})"};
}
