// What is hard: a signature does not say how it was made, the key does. For a P-384 key there are
// two ways, since cosign 3 signs with the curve's own hash and all others with SHA-256: the second
// is tried after the first, which gives nobody else a signature. Ed25519ph, RSA-PSS and a bare pair
// r, s are not taken: OpenSSL 3.0 has no first, nobody writes the second, the third is another form
// of what DER has already.
//
// Before OpenSSL reads a key, its text is looked at: of two keys in a file it would take the first.
#include "image/trust/key.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "image/digest.h"
#include "image/trust/cosign_key.h"
#include "image/trust/crypto.h"

namespace {

constexpr size_t most_key = size_t(64) << 10;  // bytes of a file
constexpr int least_rsa = 2048;                // bits

struct KeyKind {
    int type;
    std::string_view curve;           // of an EVP_PKEY_EC
    std::vector<const char*> hashes;  // the first is what we sign with; none: the key has its own
};
const std::vector<KeyKind>& kinds() {
    static const std::vector<KeyKind> all = {
        {EVP_PKEY_EC, "prime256v1", {"SHA256"}},
        {EVP_PKEY_EC, "secp384r1", {"SHA256", "SHA384"}},
        {EVP_PKEY_EC, "secp521r1", {"SHA256", "SHA512"}},
        {EVP_PKEY_RSA, "", {"SHA256"}},
        {EVP_PKEY_ED25519, "", {nullptr}},
    };
    return all;
}

std::string curve_of(const EVP_PKEY* key) {
    char name[64] = {};
    size_t size = 0;
    return crypto().key_group(key, name, sizeof name, &size) == 1 ? std::string(name, size) : "";
}

const KeyKind& kind_of(EVP_PKEY* key) {
    const int type = crypto().key_type(key);
    const std::string curve = type == EVP_PKEY_EC ? curve_of(key) : "";
    const auto found = std::ranges::find_if(
        kinds(), [&](const KeyKind& kind) { return kind.type == type && kind.curve == curve; });
    if (found == kinds().end()) {
        const char* const name = crypto().key_type_name(key);
        throw Error("the key is of an unsupported kind (", name ? name : "unknown",
                    curve.empty() ? "" : " on " + curve,
                    "): expected ECDSA on P-256, P-384 or P-521, Ed25519, or RSA");
    }
    if (type == EVP_PKEY_RSA && crypto().key_bits(key) < least_rsa)
        throw Error("the RSA key has ", crypto().key_bits(key), " bits: less than ", least_rsa,
                    " are not secure");
    return *found;
}

using Bio = std::unique_ptr<BIO, int (*)(BIO*)>;
Bio bio_of(std::string_view text) {
    return {crypto().bio_of(text.data(), int(text.size())), crypto().bio_free};
}

using Work = std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)>;
Work new_work() { return {crypto().work_new(), crypto().work_free}; }

std::shared_ptr<EVP_PKEY> shared(EVP_PKEY* key) {
    crypto().clear_error();
    return key ? std::shared_ptr<EVP_PKEY>(key, crypto().key_free) : nullptr;
}

const unsigned char* bytes_at(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

// One key is one key: of a second one in the file nobody would know that it is not looked at.
void check_is_one(std::string_view pem) {
    constexpr std::string_view begin = "-----BEGIN ";
    const size_t first = pem.find(begin);
    if (first == std::string_view::npos) throw Error("it has no key in PEM");
    if (pem.find(begin, first + 1) != std::string_view::npos)
        throw Error("it has more than one part in PEM: expected the key alone");
}

std::string read_key_file(const std::string& file) { return read_file(file, most_key); }

struct Asked {
    const std::function<std::string()>& passphrase;
    std::string error;
};

// OpenSSL's way to ask: how long the answer is, or -1. Nothing may be thrown through C.
int give_passphrase(char* buffer, int size, int /*writing*/, void* user) {
    Asked& asked = *static_cast<Asked*>(user);
    try {
        const std::string phrase = asked.passphrase();
        if (phrase.size() > size_t(size)) throw Error("the passphrase is too long");
        std::memcpy(buffer, phrase.data(), phrase.size());
        return int(phrase.size());
    } catch (const std::exception& e) {
        asked.error = e.what();
        return -1;
    }
}

}  // namespace

const Crypto& crypto() {
    static const Crypto loaded;
    return loaded;
}

PublicKey::PublicKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {
    kind_of(key_.get());
}

PublicKey PublicKey::from_pem(std::string_view pem) {
    if (pem.size() > most_key) throw Error("it is too large for a key");
    check_is_one(pem);
    if (pem.find("PRIVATE KEY-----") != std::string_view::npos)
        throw Error("it is a private key: expected the public one");
    const auto key = shared(crypto().read_public(bio_of(pem).get(), nullptr, nullptr, nullptr,
                                                 crypto().context, nullptr));
    if (!key) throw Error("it has no public key that can be read");
    return PublicKey(key);
}

PublicKey PublicKey::read(const std::string& file) {
    return context("key " + quoted(file), [&] { return from_pem(read_key_file(file)); });
}

bool PublicKey::verifies(std::string_view bytes, std::string_view signature) const {
    const auto by = [&](const char* hash) {
        const Work work = new_work();
        const bool good = crypto().verify_begin(work.get(), nullptr, hash, crypto().context,
                                                nullptr, key_.get(), nullptr) == 1 &&
                          crypto().verify(work.get(), bytes_at(signature), signature.size(),
                                          bytes_at(bytes), bytes.size()) == 1;
        crypto().clear_error();
        return good;
    };
    return std::ranges::any_of(kind_of(key_.get()).hashes, by);
}

std::string PublicKey::hint() const {
    const int size = crypto().public_der(key_.get(), nullptr);
    if (size < 0) throw Error("the key cannot be written down");
    std::string text(size_t(size), '\0');
    auto* at = reinterpret_cast<unsigned char*>(text.data());
    crypto().public_der(key_.get(), &at);
    std::string hash;
    const std::string hex = digest_of(text).hex();
    for (size_t i = 0; i < hex.size(); i += 2)
        hash += char(*parse_number<unsigned>(std::string_view(hex).substr(i, 2), 16));
    return encode_base64(hash);
}

std::string PublicKey::pem() const {
    const Bio out(crypto().bio_new(crypto().bio_memory()), crypto().bio_free);
    char* text = nullptr;
    if (crypto().write_public(out.get(), key_.get()) != 1)
        throw Error("the key cannot be written down");
    const long size = crypto().bio_control(out.get(), BIO_CTRL_INFO, 0, &text);
    return {text, size_t(size)};
}

PrivateKey PrivateKey::read(const std::string& file,
                            const std::function<std::string()>& passphrase) {
    return context("key " + quoted(file), [&] {
        const std::string pem = read_key_file(file);
        check_is_one(pem);
        std::shared_ptr<EVP_PKEY> key;
        Asked asked{.passphrase = passphrase, .error = {}};
        if (is_cosign_key(pem)) {
            const std::string der = decrypt_cosign_key(pem, passphrase());
            const unsigned char* at = bytes_at(der);
            key = shared(
                crypto().private_of(nullptr, &at, long(der.size()), crypto().context, nullptr));
        } else {
            key = shared(crypto().read_private(bio_of(pem).get(), nullptr, give_passphrase, &asked,
                                               crypto().context, nullptr));
        }
        if (!asked.error.empty()) throw Error(asked.error);
        if (!key) throw Error("it has no private key that can be read, or the passphrase is wrong");
        kind_of(key.get());
        return PrivateKey(key);
    });
}

std::string PrivateKey::sign(std::string_view bytes) const {
    const Work work = new_work();
    size_t size = 0;
    const char* const hash = kind_of(key_.get()).hashes.front();
    const auto run = [&](unsigned char* out) {
        return crypto().sign(work.get(), out, &size, bytes_at(bytes), bytes.size()) == 1;
    };
    if (crypto().sign_begin(work.get(), nullptr, hash, crypto().context, nullptr, key_.get(),
                            nullptr) != 1 ||
        !run(nullptr))
        throw Error("the key does not sign");
    std::string signature(size, '\0');
    if (!run(reinterpret_cast<unsigned char*>(signature.data())))
        throw Error("the key does not sign");
    signature.resize(size);
    return signature;
}
