#include "image/digest.h"

#include <openssl/evp.h>

#include "base/error.h"

namespace {

struct Algorithm {
    std::string_view name;
    size_t hex_digits;
    const EVP_MD* (*method)();
};
constexpr Algorithm algorithms[] = {{"sha256", 64, EVP_sha256}, {"sha512", 128, EVP_sha512}};

const Algorithm* find_algorithm(std::string_view name) {
    for (const Algorithm& algorithm : algorithms)
        if (algorithm.name == name) return &algorithm;
    return nullptr;
}

}  // namespace

bool Digest::is_valid(std::string_view text) {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return false;
    const Algorithm* algorithm = find_algorithm(text.substr(0, colon));
    const std::string_view hex = text.substr(colon + 1);
    return algorithm && hex.size() == algorithm->hex_digits &&
           hex.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Digest::Digest(std::string_view text) : text_(text) {
    if (!is_valid(text)) throw Error("invalid digest ", quoted(text), ": expected sha256: and 64 lower-case hex digits");
}

std::string Digest::algorithm() const { return text_.substr(0, text_.find(':')); }
std::string Digest::hex() const { return text_.substr(text_.find(':') + 1); }

struct Hasher::State {
    const Algorithm* algorithm;
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    ~State() { EVP_MD_CTX_free(context); }
};

Hasher::Hasher(std::string_view algorithm) : state_(std::make_unique<State>(find_algorithm(algorithm))) {
    if (!state_->algorithm) throw Error("unknown digest algorithm ", quoted(algorithm));
    if (EVP_DigestInit_ex(state_->context, state_->algorithm->method(), nullptr) != 1)
        throw Error("cannot start ", state_->algorithm->name);
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(std::string_view data) { EVP_DigestUpdate(state_->context, data.data(), data.size()); }

Digest Hasher::finish() {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(state_->context, bytes, &size);
    std::string text = str(state_->algorithm->name, ":");
    for (unsigned i = 0; i < size; ++i) {
        static constexpr char hex[] = "0123456789abcdef";
        text += hex[bytes[i] >> 4];
        text += hex[bytes[i] & 15];
    }
    return Digest(text);
}

Digest digest_of(std::string_view data) {
    Hasher hasher;
    hasher.update(data);
    return hasher.finish();
}
