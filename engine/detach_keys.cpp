#include "engine/detach_keys.h"

#include "base/error.h"

static char key_of(const std::string& word) {
    static constexpr std::string_view others = "@[\\]^_";
    if (word.size() == 1) return word[0];
    if (word.size() == 6 && word.starts_with("ctrl-")) {
        const char c = word[5];
        if (c >= 'a' && c <= 'z') return char(c - 'a' + 1);
        if (others.find(c) != std::string_view::npos) return char(c - '@');
    }
    throw Error("Invalid detach keys provided: Unknown character: '", word, "'");
}

DetachKeys::DetachKeys(const std::string& typed) {
    for (const std::string& word : split(typed.empty() ? default_detach_keys : typed, ','))
        keys_ += key_of(word);
}

std::optional<std::string> DetachKeys::pass(std::string_view typed) {
    std::string out;
    for (const char c : typed) {
        if (c != keys_[matched_]) out.append(keys_, 0, std::exchange(matched_, 0));
        if (c != keys_[matched_])
            out += c;
        else if (++matched_ == keys_.size())
            return {};
    }
    return out;
}
