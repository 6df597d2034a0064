// WWW-Authenticate: how a registry wants to be told who asks.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

struct Challenge {
    std::string scheme;                         // "bearer", in lower case
    std::map<std::string, std::string> values;  // names in lower case: realm, service, scope, error

    std::string value(const std::string& name) const {
        const auto at = values.find(name);
        return at == values.end() ? "" : at->second;
    }
};

// All in one header, in order: `Bearer realm="…",service="a, b", Basic realm="…"`. What is
// malformed is passed over.
std::vector<Challenge> parse_challenges(std::string_view header);
