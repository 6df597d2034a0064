// One comma separates challenges and parameters alike (RFC 9110, 11.6.1): a word with "=" behind it
// is a parameter of the challenge before, any other begins a challenge. Commas within quotes
// separate nothing.
#include "image/registry/challenge.h"

#include <algorithm>

#include "base/text.h"

namespace {

class ChallengeParser {
public:
    explicit ChallengeParser(std::string_view text) : text_(text) {}

    std::vector<Challenge> all() {
        std::vector<Challenge> out;
        for (;;) {
            skip(" \t,");
            if (text_.empty()) return out;
            const std::string word = lower(std::string(until(" \t,=")));
            skip(" \t");
            if (text_.starts_with('=')) {
                text_.remove_prefix(1);
                skip(" \t");
                std::string value = this->value();
                if (!out.empty() && !word.empty()) out.back().values[word] = std::move(value);
            } else {
                out.push_back({.scheme = word, .values = {}});
            }
        }
    }

private:
    void skip(std::string_view characters) {
        text_.remove_prefix(std::min(text_.find_first_not_of(characters), text_.size()));
    }
    std::string_view until(std::string_view characters) {
        const std::string_view word = text_.substr(0, text_.find_first_of(characters));
        text_.remove_prefix(word.size());
        return word;
    }
    std::string value() {
        if (!text_.starts_with('"')) return std::string(until(" \t,"));
        std::string out;
        size_t at = 1;
        for (; at < text_.size() && text_[at] != '"'; ++at) {
            if (text_[at] == '\\' && at + 1 < text_.size()) ++at;
            out += text_[at];
        }
        text_.remove_prefix(std::min(at + 1, text_.size()));
        return out;
    }

    std::string_view text_;
};

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
    return ChallengeParser(header).all();
}
