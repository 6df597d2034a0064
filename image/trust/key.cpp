// What is hard: a signature does not say how it was made, the key does. For a P-384 key there are
// two ways, since cosign 3 signs with the curve's own hash and all others with SHA-256: the second
// is tried after the first, which gives nobody else a signature. Ed25519ph, RSA-PSS and a bare pair
// r, s are not taken: OpenSSL 3.0 has no first, nobody writes the second, the third is another form
// of what DER has already.
//
// OpenSSL's own configuration is not read: it may name a library that is loaded into us.
#include "image/trust/key.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "image/digest.h"
#include "image/trust/cosign_key.h"

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
    return EVP_PKEY_get_group_name(key, name, sizeof name, &size) == 1 ? std::string(name, size)
                                                                       : "";
}

const KeyKind& kind_of(EVP_PKEY* key) {
    const int type = EVP_PKEY_get_base_id(key);
    const std::string curve = type == EVP_PKEY_EC ? curve_of(key) : "";
    const auto found = std::ranges::find_if(
        kinds(), [&](const KeyKind& kind) { return kind.type == type && kind.curve == curve; });
    if (found == kinds().end()) {
        const char* const name = EVP_PKEY_get0_type_name(key);
        throw Error("the key is of an unsupported kind (", name ? name : "unknown",
                    curve.empty() ? "" : " on " + curve,
                    "): expected ECDSA on P-256, P-384 or P-521, Ed25519, or RSA");
    }
    if (type == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) < least_rsa)
        throw Error("the RSA key has ", EVP_PKEY_get_bits(key), " bits: less than ", least_rsa,
                    " are not secure");
    return *found;
}

void begin_with_openssl() { OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr); }

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
Bio bio_of(std::string_view text) {
    return {BIO_new_mem_buf(text.data(), int(text.size())), BIO_free};
}

using Work = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
Work new_work() { return {EVP_MD_CTX_new(), EVP_MD_CTX_free}; }

std::shared_ptr<EVP_PKEY> shared(EVP_PKEY* key) {
    ERR_clear_error();
    return key ? std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free) : nullptr;
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
        throw Error("it has more than one key");
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

PublicKey::PublicKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {
    kind_of(key_.get());
}

PublicKey PublicKey::from_pem(std::string_view pem) {
    begin_with_openssl();
    if (pem.size() > most_key) throw Error("it is too large for a key");
    check_is_one(pem);
    if (pem.find("PRIVATE KEY-----") != std::string_view::npos)
        throw Error("it is a private key: expected the public one");
    const auto key = shared(PEM_read_bio_PUBKEY(bio_of(pem).get(), nullptr, nullptr, nullptr));
    if (!key) throw Error("it has no public key that can be read");
    return PublicKey(key);
}

PublicKey PublicKey::read(const std::string& file) {
    return context("key " + quoted(file), [&] { return from_pem(read_key_file(file)); });
}

bool PublicKey::verifies(std::string_view bytes, std::string_view signature) const {
    const auto by = [&](const char* hash) {
        const Work work = new_work();
        const bool good = EVP_DigestVerifyInit_ex(work.get(), nullptr, hash, nullptr, nullptr,
                                                  key_.get(), nullptr) == 1 &&
                          EVP_DigestVerify(work.get(), bytes_at(signature), signature.size(),
                                           bytes_at(bytes), bytes.size()) == 1;
        ERR_clear_error();
        return good;
    };
    return std::ranges::any_of(kind_of(key_.get()).hashes, by);
}

std::string PublicKey::hint() const {
    unsigned char* der = nullptr;
    const int size = i2d_PUBKEY(key_.get(), &der);
    if (size < 0) throw Error("the key cannot be written down");
    const std::string text(reinterpret_cast<char*>(der), size_t(size));
    OPENSSL_free(der);
    std::string hash;
    const std::string hex = digest_of(text).hex();
    for (size_t i = 0; i < hex.size(); i += 2)
        hash += char(*parse_number<unsigned>(std::string_view(hex).substr(i, 2), 16));
    return encode_base64(hash);
}

std::string PublicKey::pem() const {
    const Bio out(BIO_new(BIO_s_mem()), BIO_free);
    char* text = nullptr;
    if (PEM_write_bio_PUBKEY(out.get(), key_.get()) != 1)
        throw Error("the key cannot be written down");
    const long size = BIO_get_mem_data(out.get(), &text);
    return {text, size_t(size)};
}

PrivateKey PrivateKey::read(const std::string& file,
                            const std::function<std::string()>& passphrase) {
    begin_with_openssl();
    return context("key " + quoted(file), [&] {
        const std::string pem = read_key_file(file);
        check_is_one(pem);
        std::shared_ptr<EVP_PKEY> key;
        Asked asked{.passphrase = passphrase, .error = {}};
        if (is_cosign_key(pem)) {
            const std::string der = decrypt_cosign_key(pem, passphrase());
            const unsigned char* at = bytes_at(der);
            key = shared(d2i_AutoPrivateKey(nullptr, &at, long(der.size())));
        } else {
            key = shared(
                PEM_read_bio_PrivateKey(bio_of(pem).get(), nullptr, give_passphrase, &asked));
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
        return EVP_DigestSign(work.get(), out, &size, bytes_at(bytes), bytes.size()) == 1;
    };
    if (EVP_DigestSignInit_ex(work.get(), nullptr, hash, nullptr, nullptr, key_.get(), nullptr) !=
            1 ||
        !run(nullptr))
        throw Error("the key does not sign");
    std::string signature(size, '\0');
    if (!run(reinterpret_cast<unsigned char*>(signature.data())))
        throw Error("the key does not sign");
    signature.resize(size);
    return signature;
}
