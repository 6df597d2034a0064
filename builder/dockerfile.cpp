// The rules are those of the Dockerfile reference. What is hard: a comment or an empty line inside a
// continued instruction is dropped, not the end of it; directives count only before everything else;
// a heredoc begins behind the whole logical line; JSON that does not parse is the shell form.

#include "builder/dockerfile.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"

namespace {

constexpr std::string_view takes_heredocs[] = {"ADD", "COPY", "RUN"};

class Parser {
public:
    Parser(std::string_view text, const std::string& name) : name_(name), lines_(split(text, '\n')) {
        for (std::string& line : lines_)
            if (line.ends_with('\r')) line.pop_back();
        if (!lines_.empty() && lines_.back().empty()) lines_.pop_back();
        if (!lines_.empty() && lines_[0].starts_with("\xef\xbb\xbf")) lines_[0].erase(0, 3);
    }

    Dockerfile parse() {
        directives();
        while (at_ < lines_.size()) {
            const int first = int(at_) + 1;
            const std::string logical = logical_line();
            if (!trim(logical).empty()) file_.statements.push_back(statement(logical, first));
        }
        if (file_.statements.empty()) throw Error("the Dockerfile (", name_, ") cannot be empty");
        return std::move(file_);
    }

private:
    [[noreturn]] void fail(int line, const std::string& why) const { throw Error(name_, ":", line, ": ", why); }

    void directives() {
        std::vector<std::string> seen;
        for (; at_ < lines_.size(); ++at_) {
            const std::string_view line = trim(lines_[at_]);
            if (!line.starts_with('#')) return;
            const size_t equals = line.find('=');
            if (equals == std::string_view::npos) return;
            const std::string key = lower(std::string(trim(line.substr(1, equals - 1))));
            const std::string value(trim(line.substr(equals + 1)));
            if (key != "escape" && key != "syntax" && key != "check") return;
            if (std::ranges::find(seen, key) != seen.end()) fail(int(at_) + 1, "only one " + key + " parser directive can be used");
            seen.push_back(key);
            if (key != "escape") continue;
            if (value != "\\" && value != "`") fail(int(at_) + 1, "invalid ESCAPE " + quoted(value) + ": must be ` or \\");
            file_.escape = value[0];
        }
    }

    static bool is_comment(std::string_view line) { return trim(line).starts_with('#'); }

    std::string logical_line() {
        std::string out;
        bool continued = false;
        while (at_ < lines_.size()) {
            std::string_view line = lines_[at_];
            if (is_comment(line) || (continued && trim(line).empty())) {
                ++at_;
                if (!continued) return {};
                continue;
            }
            ++at_;
            if (!continued) line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
            std::string_view stripped = line;
            while (!stripped.empty() && (stripped.back() == ' ' || stripped.back() == '\t')) stripped.remove_suffix(1);
            if (!stripped.ends_with(file_.escape)) return out + std::string(line);
            stripped.remove_suffix(1);
            out += stripped;
            continued = true;
        }
        return out;
    }

    Statement statement(const std::string& logical, int line) {
        Statement result;
        result.line = line;
        const std::string_view text = trim(logical);
        const size_t end = text.find_first_of(" \t");
        result.keyword = upper(std::string(text.substr(0, end)));
        std::string_view rest = end == std::string_view::npos ? std::string_view{} : trim(text.substr(end));
        while (rest.starts_with("--")) {
            size_t stop = 0;  // a flag's value may be quoted
            for (char quote = 0; stop < rest.size(); ++stop) {
                const char c = rest[stop];
                if (quote) quote = c == quote ? 0 : quote;
                else if (c == '"' || c == '\'') quote = c;
                else if (c == ' ' || c == '\t') break;
            }
            const std::string word(rest.substr(2, stop - 2));
            if (word.empty()) break;
            const size_t equals = word.find('=');
            std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
            if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0]) value = value.substr(1, value.size() - 2);
            result.flags.emplace_back(word.substr(0, equals), value);
            rest = trim(rest.substr(stop));
        }
        result.rest = rest;
        if (rest.starts_with('[')) parse_json(result);
        if (std::ranges::find(takes_heredocs, result.keyword) != std::end(takes_heredocs)) heredocs(result);
        return result;
    }

    static void parse_json(Statement& statement) try {
        statement.json = json::read<std::vector<std::string>>(json::parse(statement.rest));
        statement.is_json = true;
    } catch (const Error&) {  // then it is the shell form
        statement.json.clear();
    }

    void heredocs(Statement& statement) {
        const std::string& text = statement.rest;
        for (size_t at = 0; (at = text.find("<<", at)) != std::string::npos;) {
            size_t begin = at + 2;
            at = begin;
            if (begin < text.size() && text[begin] == '<') {  // <<< is the shell's
                at = begin + 1;
                continue;
            }
            const bool strip_tabs = begin < text.size() && text[begin] == '-';
            begin += strip_tabs;
            Heredoc heredoc;
            const char quote = begin < text.size() && (text[begin] == '"' || text[begin] == '\'') ? text[begin] : '\0';
            begin += quote != 0;
            size_t end = begin;
            while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) || text[end] == '_' || text[end] == '.' || text[end] == '-')) ++end;
            if (end == begin || (quote && (end >= text.size() || text[end] != quote))) continue;
            heredoc.name = text.substr(begin, end - begin);
            heredoc.expand = !quote;
            for (;; ++at_) {
                if (at_ >= lines_.size()) fail(statement.line, "unterminated heredoc " + quoted(heredoc.name));
                std::string line = lines_[at_];
                if (strip_tabs) line.erase(0, line.find_first_not_of('\t'));
                if (line == heredoc.name) break;
                heredoc.content += line + "\n";
            }
            ++at_;
            statement.heredocs.push_back(std::move(heredoc));
            at = end;
        }
    }

    const std::string& name_;
    std::vector<std::string> lines_;
    size_t at_ = 0;
    Dockerfile file_;
};

}  // namespace

const std::string* Statement::flag(std::string_view name) const {
    const std::string* found = nullptr;
    for (const auto& [key, value] : flags)
        if (key == name) found = &value;
    return found;
}

Dockerfile parse_dockerfile(std::string_view text, const std::string& name) { return Parser(text, name).parse(); }
