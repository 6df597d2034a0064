// The words of a Dockerfile's statement: quotes, escapes, variables and what is done with them.
#include "builder/language/words.h"

#include "base/file.h"
#include "base/json.h"
#include "tests/fuzz/fuzz.h"

void take(std::string_view input) {
    const Lookup lookup = [](const std::string& name) -> std::optional<std::string> {
        return name.starts_with('a') ? std::optional(std::string("x/y.z y")) : std::nullopt;
    };
    is_taken([&] { expand(input, '\\', lookup); });
    is_taken([&] { expand_words(input, '`', lookup); });
    is_taken([&] { expand_heredoc(input, lookup); });
    is_taken([&] { raw_words(input, '\\'); });
    blank_separated(input);
}

std::vector<std::string> seeds() {
    std::vector<std::string> all{
        R"(pre${a:-"$b"}'q'\$c ${a%%.*}${a##*/}${a/x/y}${a//[a-z]/\/}${a:+set} ${b:?no})"};
    for (const json::Value& each :
         json::parse(read_file(str(TEST_DATA, "/builder/expansion.json"))))
        all.push_back(each.at("text").get<std::string>());
    return all;
}
