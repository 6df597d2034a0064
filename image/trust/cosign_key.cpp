// The body is JSON (securesystemslib's "encrypted"): scrypt makes a key of the passphrase, and
// NaCl's secretbox opens what it holds. OpenSSL has scrypt and Poly1305; XSalsa20, the third part,
// it has not, so that is here: Salsa20 (D. J. Bernstein, "The Salsa20 family of stream ciphers")
// and what makes longer nonces of it ("Extending the Salsa20 nonce").
//
// What is hard: the numbers of scrypt are the file's, and decide how much memory and time it takes;
// only the three that are ever written are taken.
#include "image/trust/cosign_key.h"

#include <openssl/core_names.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "image/trust/crypto.h"

namespace {

struct KdfParams {
    uint64_t n = 0, r = 0, p = 0;
};
struct Kdf {
    std::string name;
    KdfParams params;
    std::string salt;
};
struct CipherOfKey {
    std::string name, nonce;
};
struct EncryptedKey {
    Kdf kdf;
    CipherOfKey cipher;
    std::string ciphertext;
};

}  // namespace

template <>
inline constexpr auto json::fields<KdfParams> = std::tuple(
    required("N", &KdfParams::n), required("r", &KdfParams::r), required("p", &KdfParams::p));
template <>
inline constexpr auto json::fields<Kdf> = std::tuple(
    required("name", &Kdf::name), required("params", &Kdf::params), required("salt", &Kdf::salt));
template <>
inline constexpr auto json::fields<CipherOfKey> =
    std::tuple(required("name", &CipherOfKey::name), required("nonce", &CipherOfKey::nonce));
template <>
inline constexpr auto json::fields<EncryptedKey> =
    std::tuple(required("kdf", &EncryptedKey::kdf), required("cipher", &EncryptedKey::cipher),
               required("ciphertext", &EncryptedKey::ciphertext));

namespace {

constexpr std::string_view labels[] = {"ENCRYPTED SIGSTORE PRIVATE KEY",
                                       "ENCRYPTED COSIGN PRIVATE KEY"};
constexpr size_t key_size = 32, nonce_size = 24, tag_size = 16;

std::string_view label_of(std::string_view pem) {
    const auto found = std::ranges::find_if(labels, [&](std::string_view label) {
        return pem.find(str("-----BEGIN ", label, "-----")) != std::string_view::npos;
    });
    return found == std::end(labels) ? std::string_view() : *found;
}

// --- Salsa20

using Words = std::array<uint32_t, 16>;

uint32_t word_at(std::string_view bytes, size_t index) {
    uint32_t word = 0;
    for (size_t i = 4; i-- > 0;)
        word = word << 8 | static_cast<unsigned char>(bytes[4 * index + i]);
    return word;
}

void append_word(std::string& out, uint32_t word) {
    for (int i = 0; i < 4; ++i, word >>= 8) out += char(word & 0xff);
}

void quarter_round(uint32_t& a, uint32_t& b, uint32_t& c, uint32_t& d) {
    b ^= std::rotl(a + d, 7);
    c ^= std::rotl(b + a, 9);
    d ^= std::rotl(c + b, 13);
    a ^= std::rotl(d + c, 18);
}

Words twenty_rounds(Words w) {
    for (int i = 0; i < 10; ++i) {
        for (size_t k = 0; k < 4; ++k)  // columns, from the diagonal on
            quarter_round(w[5 * k], w[(5 * k + 4) % 16], w[(5 * k + 8) % 16], w[(5 * k + 12) % 16]);
        for (size_t k = 0; k < 4; ++k)  // rows
            quarter_round(w[5 * k], w[4 * k + (k + 1) % 4], w[4 * k + (k + 2) % 4],
                          w[4 * k + (k + 3) % 4]);
    }
    return w;
}

// "expand 32-byte k" on the diagonal, the key around it, sixteen bytes in the middle.
Words square_of(std::string_view key, std::string_view middle) {
    constexpr std::string_view sigma = "expand 32-byte k";
    Words w{};
    for (size_t i = 0; i < 4; ++i) {
        w[5 * i] = word_at(sigma, i);
        w[1 + i] = word_at(key, i);
        w[11 + i] = word_at(key, 4 + i);
        w[6 + i] = word_at(middle, i);
    }
    return w;
}

std::string hsalsa20(std::string_view key, std::string_view nonce) {
    const Words w = twenty_rounds(square_of(key, nonce));
    std::string out;
    for (const size_t i : {0, 5, 10, 15, 6, 7, 8, 9}) append_word(out, w[i]);
    return out;
}

// So many bytes of XSalsa20's stream.
std::string stream_of(std::string_view key, std::string_view nonce, size_t size) {
    const std::string subkey = hsalsa20(key, nonce.substr(0, 16));
    std::string out;
    for (uint64_t block = 0; out.size() < size; ++block) {
        std::string middle(nonce.substr(16));
        append_word(middle, uint32_t(block));
        append_word(middle, uint32_t(block >> 32));
        const Words before = square_of(subkey, middle), after = twenty_rounds(before);
        for (size_t i = 0; i < before.size(); ++i) append_word(out, before[i] + after[i]);
    }
    out.resize(size);
    return out;
}

// --- OpenSSL's part

std::string scrypt(std::string_view passphrase, std::string_view salt, KdfParams params) {
    const std::unique_ptr<EVP_KDF, void (*)(EVP_KDF*)> kdf(
        crypto().kdf_fetch(crypto().context, "SCRYPT", nullptr), crypto().kdf_free);
    const std::unique_ptr<EVP_KDF_CTX, void (*)(EVP_KDF_CTX*)> work(
        crypto().kdf_work_new(kdf.get()), crypto().kdf_work_free);
    uint64_t memory = 128 * params.n * params.r + (uint64_t(4) << 20);
    const auto octets = [](const char* name, std::string_view bytes) {
        return OSSL_PARAM{name, OSSL_PARAM_OCTET_STRING, const_cast<char*>(bytes.data()),
                          bytes.size(), 0};
    };
    const auto number = [](const char* name, uint64_t& value) {
        return OSSL_PARAM{name, OSSL_PARAM_UNSIGNED_INTEGER, &value, sizeof value, 0};
    };
    const OSSL_PARAM all[] = {octets(OSSL_KDF_PARAM_PASSWORD, passphrase),
                              octets(OSSL_KDF_PARAM_SALT, salt),
                              number(OSSL_KDF_PARAM_SCRYPT_N, params.n),
                              number(OSSL_KDF_PARAM_SCRYPT_R, params.r),
                              number(OSSL_KDF_PARAM_SCRYPT_P, params.p),
                              number(OSSL_KDF_PARAM_SCRYPT_MAXMEM, memory),
                              OSSL_PARAM{}};
    std::string key(key_size, '\0');
    if (!work || crypto().kdf_derive(work.get(), reinterpret_cast<unsigned char*>(key.data()),
                                     key.size(), all) != 1)
        throw Error("OpenSSL gives no scrypt");
    return key;
}

std::string poly1305(std::string_view key, std::string_view bytes) {
    std::string tag(tag_size, '\0');
    size_t size = 0;
    if (!crypto().mac(crypto().context, "POLY1305", nullptr, nullptr, nullptr, key.data(),
                      key.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                      bytes.size(), reinterpret_cast<unsigned char*>(tag.data()), tag.size(),
                      &size) ||
        size != tag_size)
        throw Error("OpenSSL gives no Poly1305");
    return tag;
}

// NaCl's secretbox: the tag, then what was encrypted.
std::string open_box(std::string_view key, std::string_view nonce, std::string_view box) {
    const std::string_view tag = box.substr(0, tag_size), hidden = box.substr(tag_size);
    const std::string stream = stream_of(key, nonce, key_size + hidden.size());
    const std::string right = poly1305(std::string_view(stream).substr(0, key_size), hidden);
    if (crypto().compare(right.data(), tag.data(), tag_size) != 0)
        throw Error("the passphrase is wrong");
    std::string out(hidden);
    for (size_t i = 0; i < out.size(); ++i) out[i] = char(out[i] ^ stream[key_size + i]);
    return out;
}

std::string bytes_in(const char* what, std::string_view text, size_t least, size_t most) {
    const auto bytes = decode_base64(text);
    if (!bytes || bytes->size() < least || bytes->size() > most)
        throw Error("its ", what, " has not the form that cosign gives it");
    return *bytes;
}

}  // namespace

bool is_cosign_key(std::string_view pem) { return !label_of(pem).empty(); }

std::string decrypt_cosign_key(std::string_view pem, std::string_view passphrase) {
    const std::string_view label = label_of(pem);
    const std::string begin = str("-----BEGIN ", label, "-----"),
                      end = str("-----END ", label, "-----");
    const size_t from = pem.find(begin) + begin.size(), to = pem.find(end, from);
    if (to == std::string_view::npos) throw Error("its PEM has no end");
    std::string body(pem.substr(from, to - from));
    std::erase_if(body, [](char c) { return c == '\n' || c == '\r'; });
    const auto encrypted =
        json::from_text<EncryptedKey>(bytes_in("body", body, 1, size_t(64) << 10));

    const KdfParams& params = encrypted.kdf.params;
    const bool is_known = params.n == 32768 || params.n == 65536 || params.n == 131072;
    if (encrypted.kdf.name != "scrypt" || !is_known || params.r != 8 || params.p != 1)
        throw Error("unsupported scrypt parameters");
    if (encrypted.cipher.name != "nacl/secretbox")
        throw Error("unsupported cipher ", quoted(encrypted.cipher.name));
    const std::string salt = bytes_in("salt", encrypted.kdf.salt, 1, 1024);
    const std::string nonce = bytes_in("nonce", encrypted.cipher.nonce, nonce_size, nonce_size);
    const std::string box =
        bytes_in("ciphertext", encrypted.ciphertext, tag_size, size_t(64) << 10);
    return open_box(scrypt(passphrase, salt, params), nonce, box);
}
