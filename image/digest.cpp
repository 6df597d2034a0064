// libcrypto's plain functions, not EVP: the first use of EVP loads providers and reads openssl.cnf,
// which takes longer than hashing what most commands hash.
#include "image/digest.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace {

union Context {
    SHA256_CTX sha256;
    SHA512_CTX sha512;
};

struct Algorithm {
    std::string_view name;
    size_t hex_digits;
    void (*start)(Context&);
    void (*update)(Context&, std::string_view data);
    void (*finish)(Context&, unsigned char* bytes);
};
constexpr Algorithm algorithms[] = {
    {"sha256", 64, [](Context& c) { ::SHA256_Init(&c.sha256); },
     [](Context& c, std::string_view data) {
         ::SHA256_Update(&c.sha256, data.data(), data.size());
     },
     [](Context& c, unsigned char* bytes) { ::SHA256_Final(bytes, &c.sha256); }},
    {"sha512", 128, [](Context& c) { ::SHA512_Init(&c.sha512); },
     [](Context& c, std::string_view data) {
         ::SHA512_Update(&c.sha512, data.data(), data.size());
     },
     [](Context& c, unsigned char* bytes) { ::SHA512_Final(bytes, &c.sha512); }},
};

const Algorithm* find_algorithm(std::string_view name) {
    for (const Algorithm& algorithm : algorithms)
        if (algorithm.name == name) return &algorithm;
    return nullptr;
}

constexpr std::array<std::string_view, std::size(algorithms)> names = [] {
    std::array<std::string_view, std::size(algorithms)> all;
    std::ranges::transform(algorithms, all.begin(), &Algorithm::name);
    return all;
}();

}  // namespace

std::span<const std::string_view> Digest::algorithms() { return names; }

std::optional<Digest> Digest::from_dashed(std::string_view name) {
    std::string text(name);
    const size_t dash = text.find('-');
    if (dash == std::string::npos) return {};
    text[dash] = ':';
    if (!is_valid(text)) return {};
    return Digest(text);
}

std::vector<std::string> Digest::all_in(std::string_view text) {
    std::vector<std::string> found;
    for (const Algorithm& algorithm : ::algorithms) {
        const std::string prefix = str(algorithm.name, ":");
        const size_t size = prefix.size() + algorithm.hex_digits;
        for (size_t at = 0; (at = text.find(prefix, at)) != std::string_view::npos;
             at += prefix.size())
            if (const std::string_view digest = text.substr(at, size); is_valid(digest))
                found.emplace_back(digest);
    }
    return found;
}

bool Digest::is_valid(std::string_view text) {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return false;
    const Algorithm* algorithm = find_algorithm(text.substr(0, colon));
    const std::string_view hex = text.substr(colon + 1);
    return algorithm && hex.size() == algorithm->hex_digits && std::ranges::all_of(hex, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

Digest::Digest(std::string_view text) : text_(text) {
    if (!is_valid(text))
        throw Error("invalid digest ", quoted(text),
                    ": expected sha256: and 64 lower-case hex digits, or sha512: and 128");
}

std::string Digest::algorithm() const { return text_.substr(0, text_.find(':')); }
std::string Digest::hex() const { return text_.substr(text_.find(':') + 1); }

struct Hasher::State {
    const Algorithm* algorithm;
    Context context;
};

Hasher::Hasher(std::string_view algorithm)
    : state_(std::make_unique<State>(find_algorithm(algorithm), Context{})) {
    if (!state_->algorithm) throw Error("unknown digest algorithm ", quoted(algorithm));
    state_->algorithm->start(state_->context);
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::restart() { state_->algorithm->start(state_->context); }

void Hasher::update(std::string_view data) { state_->algorithm->update(state_->context, data); }

void Hasher::field(std::string_view data) {
    const uint64_t length = data.size();
    update({reinterpret_cast<const char*>(&length), sizeof length});
    update(data);
}

Digest Hasher::finish() {
    unsigned char bytes[SHA512_DIGEST_LENGTH];
    state_->algorithm->finish(state_->context, bytes);
    std::string text = str(state_->algorithm->name, ":");
    for (size_t i = 0; i < state_->algorithm->hex_digits / 2; ++i) {
        static constexpr char hex[] = "0123456789abcdef";
        text += hex[bytes[i] >> 4];
        text += hex[bytes[i] & 15];
    }
    return Digest(text);
}

Digest digest_of(std::string_view data, std::string_view algorithm) {
    Hasher hasher(algorithm);
    hasher.update(data);
    return hasher.finish();
}
