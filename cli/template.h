// Go's templates, as far as people use them with --format: text and {{ actions }} over a JSON
// value: fields, variables, pipelines, if/else, range, with, comparisons, and Docker's functions
// (json, split, join, title, lower, upper, pad, truncate, println). What is not known is an error.
#pragma once

#include <memory>
#include <string>

#include "base/json.h"

class Template {
public:
    // Throws Error "template parsing error: …". `\t` and `\n` written out in the text are those
    // characters, as Docker has it.
    explicit Template(const std::string& text);
    ~Template();
    Template(Template&&) noexcept;

    // Throws Error if a field is not there: `map has no entry for key "Foo"`. What an image or a
    // container says is made visible (base/text.h), but for ends of lines and tabs.
    std::string render(const json::Value& data) const;
    // The same for a line of a table, in which no value has those.
    std::string render_cells(const json::Value& row) const;
    // The same with functions that give back their argument: for a table's line of headers.
    std::string render_headers(const json::Value& headers) const;

private:
    struct Body;
    std::unique_ptr<Body> body_;
};
