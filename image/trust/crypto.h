// What of OpenSSL's libcrypto signatures need. It is loaded when the first key is read: linked, it
// would make keg half as large again, and every start a sixth slower.
//
// All is done in a context of its own, which no openssl.cnf has a word in: that may name libraries
// to be loaded, and is libcurl's matter, which has the same libcrypto.
#pragma once

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/shared_library.h"

struct Crypto : SharedLibrary {
    decltype(&::OSSL_LIB_CTX_new) new_context = find<decltype(new_context)>("OSSL_LIB_CTX_new");
    decltype(&::ERR_clear_error) clear_error = find<decltype(clear_error)>("ERR_clear_error");
    decltype(&::CRYPTO_memcmp) compare = find<decltype(compare)>("CRYPTO_memcmp");

    decltype(&::BIO_new_mem_buf) bio_of = find<decltype(bio_of)>("BIO_new_mem_buf");
    decltype(&::BIO_new) bio_new = find<decltype(bio_new)>("BIO_new");
    decltype(&::BIO_s_mem) bio_memory = find<decltype(bio_memory)>("BIO_s_mem");
    decltype(&::BIO_ctrl) bio_control = find<decltype(bio_control)>("BIO_ctrl");
    decltype(&::BIO_free) bio_free = find<decltype(bio_free)>("BIO_free");

    decltype(&::PEM_read_bio_PUBKEY_ex) read_public =
        find<decltype(read_public)>("PEM_read_bio_PUBKEY_ex");
    decltype(&::PEM_write_bio_PUBKEY) write_public =
        find<decltype(write_public)>("PEM_write_bio_PUBKEY");
    decltype(&::PEM_read_bio_PrivateKey_ex) read_private =
        find<decltype(read_private)>("PEM_read_bio_PrivateKey_ex");
    decltype(&::d2i_AutoPrivateKey_ex) private_of =
        find<decltype(private_of)>("d2i_AutoPrivateKey_ex");
    decltype(&::i2d_PUBKEY) public_der = find<decltype(public_der)>("i2d_PUBKEY");

    decltype(&::EVP_PKEY_free) key_free = find<decltype(key_free)>("EVP_PKEY_free");
    decltype(&::EVP_PKEY_get_base_id) key_type = find<decltype(key_type)>("EVP_PKEY_get_base_id");
    decltype(&::EVP_PKEY_get0_type_name) key_type_name =
        find<decltype(key_type_name)>("EVP_PKEY_get0_type_name");
    decltype(&::EVP_PKEY_get_group_name) key_group =
        find<decltype(key_group)>("EVP_PKEY_get_group_name");
    decltype(&::EVP_PKEY_get_bits) key_bits = find<decltype(key_bits)>("EVP_PKEY_get_bits");

    decltype(&::EVP_MD_CTX_new) work_new = find<decltype(work_new)>("EVP_MD_CTX_new");
    decltype(&::EVP_MD_CTX_free) work_free = find<decltype(work_free)>("EVP_MD_CTX_free");
    decltype(&::EVP_DigestVerifyInit_ex) verify_begin =
        find<decltype(verify_begin)>("EVP_DigestVerifyInit_ex");
    decltype(&::EVP_DigestVerify) verify = find<decltype(verify)>("EVP_DigestVerify");
    decltype(&::EVP_DigestSignInit_ex) sign_begin =
        find<decltype(sign_begin)>("EVP_DigestSignInit_ex");
    decltype(&::EVP_DigestSign) sign = find<decltype(sign)>("EVP_DigestSign");

    decltype(&::EVP_KDF_fetch) kdf_fetch = find<decltype(kdf_fetch)>("EVP_KDF_fetch");
    decltype(&::EVP_KDF_free) kdf_free = find<decltype(kdf_free)>("EVP_KDF_free");
    decltype(&::EVP_KDF_CTX_new) kdf_work_new = find<decltype(kdf_work_new)>("EVP_KDF_CTX_new");
    decltype(&::EVP_KDF_CTX_free) kdf_work_free = find<decltype(kdf_work_free)>("EVP_KDF_CTX_free");
    decltype(&::EVP_KDF_derive) kdf_derive = find<decltype(kdf_derive)>("EVP_KDF_derive");
    decltype(&::EVP_Q_mac) mac = find<decltype(mac)>("EVP_Q_mac");

    OSSL_LIB_CTX* context = new_context();

    Crypto() : SharedLibrary("libcrypto.so.3", "signatures") {}
};

// Once, whatever the number of threads.
const Crypto& crypto();
