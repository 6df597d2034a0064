// Documents as nobody should write them: an original and some damage, the same for the same seed
// everywhere. Whoever reads them takes them or says one Error; never a crash, which a sanitized
// build sees, and no other exception.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tests/unit/catch.h"

class Damage {
public:
    explicit Damage(unsigned seed) : random_(seed) {}

    // The standard's distributions are not the same in every library.
    size_t below(size_t n) { return random_() % n; }
    template <class List>
    const auto& one_of(const List& list) {
        return *(std::begin(list) + below(std::size(list)));
    }

    // A text with some pieces cut out, doubled, or replaced by a word of its language or by bytes.
    std::string text(std::string whole, std::span<const std::string_view> words) {
        for (size_t times = 1 + below(4); times > 0; --times) {
            const size_t at = below(whole.size() + 1),
                         length = below(std::min<size_t>(whole.size() - at, 40) + 1);
            switch (below(6)) {
                case 0: whole.erase(at, length); break;
                case 1: whole.insert(at, whole.substr(at, length)); break;
                case 2: whole.insert(at, one_of(words)); break;
                case 3: whole.replace(at, length, one_of(words)); break;
                case 4: whole.insert(at, 1, char(below(256))); break;
                case 5:
                    if (at < whole.size()) whole[at] = char(whole[at] ^ (1 << below(8)));
                    break;
            }
        }
        if (below(50) == 0) whole.resize(below(whole.size() + 1));
        return whole;
    }

    // The same for a JSON document, where it stays JSON: values of other types and ranges, gone, or
    // in another's place.
    json::Value document(json::Value whole, std::span<const std::string_view> words) {
        for (size_t times = 1 + below(3); times > 0; --times) {
            std::vector<json::Value*> nodes;
            collect(whole, nodes);
            json::Value& node = *one_of(nodes);
            const json::Value other = *one_of(nodes);
            switch (below(5)) {
                case 0: node = other; break;
                case 1: node = std::string(one_of(words)); break;
                case 2:
                    if (node.is_structured() && !node.empty())
                        node.erase(std::next(node.begin(), std::ptrdiff_t(below(node.size()))));
                    break;
                case 3:
                    if (node.is_array()) {
                        node.push_back(node.empty() ? other : json::Value(one_of(node)));
                        break;
                    }
                    [[fallthrough]];
                default: node = json::parse(one_of(values)); break;
            }
        }
        return whole;
    }

private:
    static constexpr std::string_view values[] = {"null",
                                                  "true",
                                                  "false",
                                                  "0",
                                                  "1",
                                                  "2",
                                                  "-1",
                                                  "4096",
                                                  "65536",
                                                  "2147483648",
                                                  "4294967295",
                                                  "4294967296",
                                                  "9223372036854775807",
                                                  "9223372036854775808",
                                                  "18446744073709551615",
                                                  "-9223372036854775808",
                                                  "1.5",
                                                  "1e300",
                                                  "\"\"",
                                                  "\"/\"",
                                                  "\"..\"",
                                                  "\"\\u0000\"",
                                                  "\"\\ud83d\\ude00\"",
                                                  "[]",
                                                  "{}",
                                                  "[[]]",
                                                  "[null]",
                                                  "{\"\":{}}"};
    static void collect(json::Value& value, std::vector<json::Value*>& nodes) {
        nodes.push_back(&value);
        if (value.is_structured())
            for (json::Value& member : value) collect(member, nodes);
    }
    std::mt19937 random_;
};

namespace damage {
// How often to try: KEG_DAMAGE=100 makes it a hundred times as often.
inline unsigned rounds(unsigned count) {
    const char* times = std::getenv("KEG_DAMAGE");
    return count * unsigned(times ? std::atoi(times) : 1);
}
inline const std::string* current = nullptr;
extern "C" void __sanitizer_set_death_callback(void (*)()) __attribute__((weak));
}  // namespace damage

// Gives each input to `take`. The one that ends it is shown, even by a sanitizer's last words.
inline void each_damaged(unsigned count, const std::function<std::string(Damage&)>& make,
                         const std::function<void(const std::string&)>& take) {
    if (damage::__sanitizer_set_death_callback)
        damage::__sanitizer_set_death_callback([] {
            if (damage::current)
                std::fprintf(stderr, "the input was:\n%s\n", damage::current->c_str());
        });
    for (unsigned seed = 1; seed <= damage::rounds(count); ++seed) {
        Damage one(seed);
        const std::string input = make(one);
        damage::current = &input;
        INFO("seed " << seed << ":\n" << input);
        try {
            take(input);
        } catch (const Error& e) {
            if (std::string_view(e.what()).empty()) FAIL("an error without words");
        } catch (const std::exception& e) {
            FAIL("not one of ours: " << e.what());
        }
        damage::current = nullptr;
    }
}
