// The text of a Dockerfile -> statements: parser directives, comments, continued lines, heredocs,
// flags and the two forms of arguments. What the words of a statement mean is instructions.cpp's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct Heredoc {
    std::string name, content;
    bool expand = true;  // <<EOF expands variables, <<"EOF" does not
};

struct Statement {
    int line = 0, last_line = 0;  // of the text, from 1; heredocs are part of it
    std::string keyword;          // upper case
    std::string written;          // the keyword as it stands there
    std::vector<std::pair<std::string, std::string>>
        flags;                            // {"from", "build"}; a flag without "=" has ""
    std::vector<std::string> bare_flags;  // those without "="
    std::string rest;                     // behind keyword and flags, lines joined
    std::vector<std::string> json;        // the words of the JSON form, if it is one
    bool is_json = false;
    std::vector<Heredoc> heredocs;
    std::vector<std::string> comments;  // the lines right above it, without "#"
    int empty_line = 0;  // the line where its text ends, if an empty one is inside; else 0

    const std::string* flag(std::string_view name) const;  // the last of that name
};

struct Dockerfile {
    char escape = '\\';
    std::string check;  // the directive's value: "skip=StageNameCasing;error=true"
    std::vector<Statement> statements;
};

// Throws Error "NAME:LINE: …" for what cannot be parsed; an empty file is an error.
Dockerfile parse_dockerfile(std::string_view text, const std::string& name);
// The words of an array of strings in JSON, or nothing if the text is none: then it is the shell's.
// Throws Error for an array of other things, which was meant as JSON.
std::optional<std::vector<std::string>> json_words(std::string_view text);
