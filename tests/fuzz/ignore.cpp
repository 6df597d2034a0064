// .dockerignore: patterns, and behind a zero byte the path that they are asked about.
#include "builder/language/ignore.h"
#include "base/file.h"
#include "base/json.h"
#include "image/layer/rules.h"
#include "tests/fuzz/fuzz.h"

void take(std::string_view input) {
    const size_t zero = std::min(input.find('\0'), input.size());
    const std::string_view text = input.substr(0, zero);
    const std::string path = clean_path(input.substr(std::min(zero + 1, input.size())));
    is_taken([&] { match_path(text, path); });
    const IgnoreRules rules(text);
    if (!path.empty() && !rules.has_exceptions() && rules.ignores(path))
        expect(rules.ignores(path + "/below"), "what is below an ignored directory is ignored");
}

std::vector<std::string> seeds() {
    std::vector<std::string> all;
    for (const json::Value& each : json::parse(read_file(str(TEST_DATA, "/builder/ignore.json")))) {
        std::string text;
        for (const json::Value& pattern : each.at("patterns"))
            text += pattern.get<std::string>() + "\n";
        all.push_back(text + '\0' + each.at("path").get<std::string>());
    }
    for (const json::Value& each : json::parse(read_file(str(TEST_DATA, "/builder/patterns.json"))))
        all.push_back(each.at("pattern").get<std::string>() + '\0' +
                      each.at("name").get<std::string>());
    return all;
}
