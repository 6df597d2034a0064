// The text of a Dockerfile -> statements: parser directives, comments, continued lines, heredocs,
// flags and the two forms of arguments. What the words of a statement mean is instructions.cpp's.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct Heredoc {
    std::string name, content;
    bool expand = true;  // <<EOF expands variables, <<"EOF" does not
};

struct Statement {
    int line = 0;         // of its first line, from 1
    std::string keyword;  // upper case
    std::vector<std::pair<std::string, std::string>>
        flags;                      // {"from", "build"}; a flag without "=" has ""
    std::string rest;               // behind keyword and flags, lines joined
    std::vector<std::string> json;  // the words of the JSON form, if it is one
    bool is_json = false;
    std::vector<Heredoc> heredocs;

    const std::string* flag(std::string_view name) const;  // the last of that name
};

struct Dockerfile {
    char escape = '\\';
    std::vector<Statement> statements;
};

// Throws Error "NAME:LINE: …" for what cannot be parsed; an empty file is an error.
Dockerfile parse_dockerfile(std::string_view text, const std::string& name);
