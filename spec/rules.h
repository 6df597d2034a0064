// The rows of the tables in validate.cpp and validate_linux.cpp: one MUST, and what finds its
// violations.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_place.h"
#include "base/text.h"
#include "spec/runtime.h"

namespace spec {

using json::Place;

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
std::span<const Rule> rules_of_config();  // config.md
std::span<const Rule> rules_of_linux();   // config-linux.md, without
std::span<const Rule> rules_of_seccomp(), rules_of_call_names();

inline const Namespace* find_namespace(const Config& config, std::string_view type) {
    const auto at = std::ranges::find(config.linux.namespaces, type, &Namespace::type);
    return at == config.linux.namespaces.end() ? nullptr : &*at;
}

inline bool among(std::string_view word, std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, word) != words.end();
}

// What the kernel takes as a map of ids: ranges of at least one id, and no id twice on either side.
void check_ranges(const std::vector<IdMapping>& map, const Place& at, Findings& out);

}  // namespace spec
