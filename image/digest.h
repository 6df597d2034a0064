// Digests: "sha256:" and 64 lower-case hex digits, or "sha512:" and 128 (image-spec descriptor.md).
// A Digest is always well-formed, so it may become part of a path.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

class Digest {
public:
    Digest() = default;
    // Throws Error if the text is not a registered, well-formed digest.
    explicit Digest(std::string_view text);
    static bool is_valid(std::string_view text);
    // "sha256", which keg's own digests are, and "sha512".
    static std::span<const std::string_view> algorithms();
    // All in a text, wherever they stand.
    static std::vector<std::string> all_in(std::string_view text);

    const std::string& text() const { return text_; }  // "sha256:…"
    std::string algorithm() const;                     // "sha256"
    std::string hex() const;
    // "sha256-HEX", for names that take no colon: of files, and of tags beside an image.
    std::string dashed() const { return algorithm() + "-" + hex(); }
    // Nothing for what is no such name.
    static std::optional<Digest> from_dashed(std::string_view name);
    std::string short_hex() const { return hex().substr(0, 12); }  // as Docker shows IDs
    bool empty() const { return text_.empty(); }
    auto operator<=>(const Digest&) const = default;

private:
    std::string text_;
};

// A running SHA-256 (or the algorithm of the digest that is expected).
class Hasher {
public:
    // Throws Error for one that is neither sha256 nor sha512.
    explicit Hasher(std::string_view algorithm = "sha256");
    ~Hasher();
    Hasher(Hasher&&) noexcept;
    Hasher& operator=(Hasher&&) noexcept;
    void update(std::string_view data);
    // The data with its length: whatever a key is made of goes in by this, so that where one part
    // ends and the next begins is part of the key.
    void field(std::string_view data);
    Digest finish();  // once, and nothing after it
    void restart();   // as if it were new

private:
    struct State;
    std::unique_ptr<State> state_;
};

Digest digest_of(std::string_view data, std::string_view algorithm = "sha256");
