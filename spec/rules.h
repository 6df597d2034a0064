// The rows of the tables in validate.cpp and validate_linux.cpp: one MUST, and what finds its violations.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "spec/runtime.h"

namespace spec {

// Takes what a check finds.
class Findings {
public:
    explicit Findings(std::vector<std::string>& out) : out_(out) {}
    template <class... Parts>
    void add(const Parts&... parts) {
        out_.push_back(str(parts...));
    }

private:
    std::vector<std::string>& out_;
};

struct Rule {
    const char* section;
    const char* text;
    void (*check)(const Config&, Findings&);
};
std::span<const Rule> rules_of_config();   // config.md
std::span<const Rule> rules_of_linux();    // config-linux.md

inline const Namespace* find_namespace(const Config& config, std::string_view type) {
    const auto at = std::ranges::find(config.linux.namespaces, type, &Namespace::type);
    return at == config.linux.namespaces.end() ? nullptr : &*at;
}

inline bool among(std::string_view word, std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, word) != words.end();
}

// What the kernel takes as a map of ids: ranges of at least one id, and no id twice on either side.
void check_ranges(const std::vector<IdMapping>& map, const std::string& at, Findings& out);

// "0-3,7": how many numbers the kernel finds in such a list of CPUs or memory nodes, of which it knows that many;
// nothing if it is none.
constexpr unsigned last_cpu = 8191, last_node = 1023;
inline std::optional<uint64_t> count_numbers(std::string_view text, unsigned most) {
    uint64_t count = 0;
    for (const std::string& piece : split(trim(text), ',')) {
        const size_t dash = piece.find('-');
        const auto first = parse_number<unsigned>(piece.substr(0, dash));
        const auto last = dash == std::string::npos ? first : parse_number<unsigned>(piece.substr(dash + 1));
        if (!first || !last || *first > *last || *last > most) return {};
        count += *last - *first + 1ull;
    }
    return count;
}

}  // namespace spec
