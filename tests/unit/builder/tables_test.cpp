// The tables of BuildKit's own tests, where they lie beside the checkout: nothing is said of what
// is not there. What this project's own cases hold is in the tests beside this one.
#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "builder/language/ignore.h"
#include "builder/language/instructions.h"
#include "builder/language/words.h"
#include "tests/unit/builder/shown_statements.h"
#include "tests/unit/catch.h"

namespace {

namespace fs = std::filesystem;
using Variables = std::map<std::string, std::string>;

fs::path tables() {
    fs::path above = fs::path(TEST_DATA);
    for (; above != above.root_path(); above = above.parent_path())
        if (const fs::path found = above / "shared/corpus/builder/tables"; fs::is_directory(found))
            return found;
    WARN("the tables of BuildKit's tests are not beside the checkout");
    return {};
}

Lookup lookup_in(const Variables& variables) {
    return [&variables](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        if (found == variables.end()) return {};
        return found->second;
    };
}

std::optional<std::string> expanded(const std::string& text, const Variables& variables) {
    try {
        return expand(text, '\\', lookup_in(variables));
    } catch (const Error&) {
        return {};
    }
}

std::vector<std::pair<std::string, std::string>> rows(const std::string& text) {
    std::vector<std::pair<std::string, std::string>> out;
    for (const std::string& line : split(text, '\n')) {
        const size_t bar = line.find('|');
        if (line.starts_with('#') || bar == std::string::npos) continue;
        out.emplace_back(trim(std::string_view(line).substr(0, bar)),
                         trim(std::string_view(line).substr(bar + 1)));
    }
    return out;
}

}  // namespace

TEST_CASE("the table of variables and quotes") {
    const fs::path directory = tables();
    if (directory.empty()) return;
    const Variables variables = {
        {"PWD", "/home"}, {"SHELL", "bash"}, {"KOREAN", "한국어"}, {"NULL", ""}};
    for (const auto& [platform, row] : rows(read_file(directory / "lex_env.tsv"))) {
        if (platform == "W") continue;
        const auto [text, want] = rows(row).at(0);
        CAPTURE(text);
        CHECK(expanded(text, variables).value_or("error") == want);
    }
}

TEST_CASE("the table of what is in braces") {
    const fs::path directory = tables();
    if (directory.empty()) return;
    for (const json::Value& row : json::parse(read_file(directory / "lex_match.json"))) {
        const std::string text = row["input"];
        CAPTURE(text);
        const auto got = expanded(text, json::read<Variables>(row["env"]));
        CHECK(got.has_value() != row["error"].get<bool>());
        if (got && !row["error"].get<bool>()) CHECK(*got == row["expected"].get<std::string>());
    }
}

TEST_CASE("the table of words") {
    const fs::path directory = tables();
    if (directory.empty()) return;
    Variables variables;
    for (const std::string& line : split(read_file(directory / "lex_words.txt"), '\n')) {
        if (line.starts_with("ENV ")) {
            const size_t equals = line.find('=');
            variables[line.substr(4, equals - 4)] = line.substr(equals + 1);
            continue;
        }
        for (const auto& [text, want] : rows(line)) {
            CAPTURE(text);
            std::string got;
            try {
                got = join(expand_words(text, '\\', lookup_in(variables)), ",");
            } catch (const Error&) {
                got = "error";
            }
            CHECK(trim(got) == want);
        }
    }
}

// Each is asked of a whole .dockerignore: a pattern that matches a directory matches what is below.
TEST_CASE("the table of file-name patterns") {
    const fs::path directory = tables();
    if (directory.empty()) return;
    for (const json::Value& row : json::parse(read_file(directory / "gomatch.json"))) {
        const std::string pattern = row["pattern"], name = row["s"];
        CAPTURE(pattern, name);
        if (row["err"].get<bool>())
            CHECK_THROWS_AS(IgnoreRules(pattern), Error);
        else
            CHECK(IgnoreRules(pattern).ignores(name) == row["match"].get<bool>());
    }
}

TEST_CASE("the table of ignored paths") {
    const fs::path directory = tables();
    if (directory.empty()) return;
    for (const json::Value& row : json::parse(read_file(directory / "ignore_match.json"))) {
        std::string text;
        for (const auto& pattern : row["patterns"]) text += pattern.get<std::string>() + "\n";
        std::string path = row["path"];
        CAPTURE(text, path);
        while (path.ends_with('/')) path.pop_back();
        CHECK(IgnoreRules(text).ignores(path) == row["match"].get<bool>());
    }
}

TEST_CASE("the table of Dockerfiles and their statements") {
    const fs::path directory = tables();
    if (directory.empty()) return;
    for (const auto& each : fs::directory_iterator(directory / "parser")) {
        CAPTURE(each.path().filename().string());
        const Dockerfile file =
            parse_dockerfile(read_file(each.path() / "Dockerfile"), "Dockerfile");
        CHECK(shown(file) == read_file(each.path() / "result"));
    }
    for (const auto& each : fs::directory_iterator(directory / "parser-negative")) {
        CAPTURE(each.path().filename().string());
        const fs::path text = each.path() / "Dockerfile";
        const auto read = [&] {
            check_statements(parse_dockerfile(read_file_if_exists(text).value_or(""), "Dockerfile"),
                             "Dockerfile");
        };
        CHECK_THROWS_AS(read(), Error);
    }
}
