// Keys that signatures are made and checked with: ECDSA on P-256, P-384 and P-521, Ed25519, and RSA
// of 2048 bits and more. What else there is, is refused by its name.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct evp_pkey_st;

class PublicKey {
public:
    // The one key of a text in PEM ("PUBLIC KEY", "RSA PUBLIC KEY"). Throws Error for what is none,
    // or none of the kinds above.
    static PublicKey from_pem(std::string_view pem);
    // Of a file; the error names it.
    static PublicKey read(const std::string& file);

    // Is `signature` this key's, of exactly these bytes?
    bool verifies(std::string_view bytes, std::string_view signature) const;
    // How bundles say which key is meant: the base64 of the SHA-256 of its SubjectPublicKeyInfo.
    std::string hint() const;
    std::string pem() const;

private:
    friend class PrivateKey;
    explicit PublicKey(std::shared_ptr<evp_pkey_st> key);
    std::shared_ptr<evp_pkey_st> key_;
};

class PrivateKey {
public:
    // Of a file in PEM: PKCS#8, plain or encrypted, an older form of OpenSSL's, or one that cosign
    // has encrypted. `passphrase` is asked once, and only if one is needed.
    static PrivateKey read(const std::string& file, const std::function<std::string()>& passphrase);

    // In the one form that every verifier takes: SHA-256, and Ed25519 without a hash before it.
    std::string sign(std::string_view bytes) const;
    PublicKey public_key() const { return PublicKey(key_); }

private:
    explicit PrivateKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
    std::shared_ptr<evp_pkey_st> key_;
};
