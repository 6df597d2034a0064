// What is hard: quotes. A field that begins with one ends at the next that stands alone, a doubled
// one is a character of it, and a quote anywhere else is a mistake, as Go's encoding/csv has it.
#include "base/csv.h"

#include <algorithm>

#include "base/error.h"

namespace {

class CsvLine {
public:
    explicit CsvLine(std::string_view text) : text_(text) {}

    std::vector<std::string> fields() {
        std::vector<std::string> out;
        if (text_.empty()) throw Error("no fields");
        if (text_.find_first_of("\r\n") != std::string_view::npos)
            throw Error("more than one line");
        do out.push_back(text_.substr(at_).starts_with('"') ? quoted_field() : plain_field());
        while (at_ < text_.size() && text_[at_++] == ',');
        return out;
    }

private:
    std::string plain_field() {
        const size_t begin = at_;
        at_ = std::min(text_.find(',', at_), text_.size());
        const std::string_view field = text_.substr(begin, at_ - begin);
        if (field.contains('"')) throw Error("bare \" in non-quoted field ", quoted(field));
        return std::string(field);
    }

    // "a,b" with its quotes around it; a doubled one inside is one of the text.
    std::string quoted_field() {
        std::string out;
        for (;;) {
            const size_t end = text_.find('"', ++at_);
            if (end == std::string_view::npos) break;
            out += text_.substr(at_, end - at_);
            at_ = end + 1;
            if (at_ == text_.size() || text_[at_] == ',') return out;
            if (text_[at_] != '"') break;
            out += '"';
        }
        throw Error("extraneous or missing \" in quoted field");
    }

    std::string_view text_;
    size_t at_ = 0;
};

}  // namespace

std::vector<std::string> csv_fields(std::string_view line) { return CsvLine(line).fields(); }
