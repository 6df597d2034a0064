// The rules are those of the Dockerfile reference. What is hard: a comment or an empty line inside
// a continued instruction is dropped, not the end of it; directives count only before everything
// else; a heredoc begins behind the whole logical line, and is the only place where the ends of
// lines stay as they are; JSON that does not parse is the shell form.

#include "builder/language/dockerfile.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "builder/language/words.h"

namespace {

constexpr std::string_view takes_heredocs[] = {"ADD", "COPY", "RUN"};
constexpr std::string_view takes_json[] = {"ADD", "CMD",   "COPY",  "ENTRYPOINT",
                                           "RUN", "SHELL", "VOLUME"};
constexpr std::string_view blanks = " \t\v\f\r";
constexpr size_t longest_line = 65535;

bool is_in(std::string_view word, std::span<const std::string_view> list) {
    return std::ranges::find(list, word) != list.end();
}
bool is_blank(char c) { return blanks.contains(c); }

// "RUN" and what follows it, without the blanks around it.
std::pair<std::string_view, std::string_view> split_keyword(std::string_view text) {
    const size_t end = text.find_first_of(blanks);
    if (end == std::string_view::npos) return {text, {}};
    return {text.substr(0, end), trim(text.substr(end))};
}

class Parser {
public:
    Parser(std::string_view text, const std::string& name)
        : name_(name), lines_(split(text, '\n')) {
        if (!lines_.empty() && lines_.back().empty()) lines_.pop_back();
        if (!lines_.empty() && lines_[0].starts_with("\xef\xbb\xbf")) lines_[0].erase(0, 3);
    }

    Dockerfile parse() {
        for (size_t i = 0; i < lines_.size(); ++i)
            if (lines_[i].size() > longest_line)
                fail(int(i) + 1, "dockerfile line greater than max allowed size of " +
                                     std::to_string(longest_line));
        directives();
        // Directives are comments as well, of what follows them at once.
        for (size_t i = 0; i < at_; ++i) note_comment(line_at(i));
        while (at_ < lines_.size()) {
            if (note_comment(line_at(at_))) {
                ++at_;
                continue;
            }
            const int first = int(at_) + 1;
            context(str(name_, ":", first), [&] { add_statement(first); });
        }
        if (file_.statements.empty()) throw Error("the Dockerfile (", name_, ") cannot be empty");
        return std::move(file_);
    }

private:
    [[noreturn]] void fail(int line, const std::string& why) const {
        throw Error(name_, ":", line, ": ", why);
    }

    // Without what ends it.
    std::string_view line_at(size_t at) const {
        std::string_view line = lines_[at];
        while (line.ends_with('\r')) line.remove_suffix(1);
        return line;
    }

    // "# name = value" at the very top; what is none ends them.
    void directives() {
        std::vector<std::string> seen;
        const bool is_script = !lines_.empty() && lines_[0].starts_with("#!");
        for (at_ = is_script; at_ < lines_.size(); ++at_) {
            const std::string_view line = trim(lines_[at_]);
            if (!line.starts_with('#')) return;
            const size_t equals = line.find('=');
            if (equals == std::string_view::npos) return;
            const std::string key = lower(std::string(trim(line.substr(1, equals - 1))));
            const std::string value(trim(line.substr(equals + 1)));
            if (!is_in(key, std::array<std::string_view, 3>{"check", "escape", "syntax"}) ||
                value.empty())
                return;
            if (std::ranges::find(seen, key) != seen.end())
                fail(int(at_) + 1, "only one " + key + " parser directive can be used");
            seen.push_back(key);
            if (key == "check") file_.check = value;
            if (key == "escape" && !is_script) set_escape(value);
        }
    }
    void set_escape(const std::string& value) {
        if (value != "\\" && value != "`")
            fail(int(at_) + 1, "invalid ESCAPE " + quoted(value) + ": must be ` or \\");
        file_.escape = value[0];
    }

    static bool is_comment(std::string_view line) { return trim(line).starts_with('#'); }

    // Whether the line is a comment or empty: what stands between statements. Comments are kept for
    // the statement that follows them, if nothing is between.
    bool note_comment(std::string_view line) {
        line = trim(line);
        if (!line.empty() && !line.starts_with('#')) return false;
        const std::string_view text = line.empty() ? line : trim(line.substr(1));
        if (text.empty())
            comments_.clear();
        else
            comments_.emplace_back(text);
        return true;
    }

    // Whether the line goes on behind it; then without the escape at its end. Two escapes are none.
    bool cut_continuation(std::string& line) const {
        const size_t last = line.find_last_not_of(" \t");
        if (last == std::string::npos || line[last] != file_.escape ||
            (last > 0 && line[last - 1] == file_.escape))
            return false;
        line.resize(last);
        return true;
    }

    std::string logical_line(Statement& statement) {
        std::string line(trim_start(line_at(at_++)));
        bool has_empty = false, goes_on = cut_continuation(line);
        while (goes_on && at_ < lines_.size()) {
            std::string next(line_at(at_++));
            if (is_comment(next)) continue;
            if (trim(next).empty()) {
                has_empty = true;
                continue;
            }
            goes_on = cut_continuation(next);
            line += next;
        }
        if (has_empty) statement.empty_line = int(at_);
        return line;
    }
    static std::string_view trim_start(std::string_view text) {
        return text.substr(std::min(text.find_first_not_of(blanks), text.size()));
    }

    void add_statement(int line) {
        Statement statement;
        statement.line = line;
        statement.comments = std::exchange(comments_, {});
        const std::string logical = logical_line(statement);
        if (trim(logical).empty()) return;  // an escape alone
        fill(statement, logical);
        statement.last_line = int(at_);
        file_.statements.push_back(std::move(statement));
    }

    void fill(Statement& result, const std::string& logical) {
        const auto [keyword, rest] = split_keyword(trim(logical));
        result.written = keyword;
        result.keyword = upper(result.written);
        result.rest = trim(take_flags(rest, result));
        if (is_in(result.keyword, takes_json))
            if (auto words = json_words(result.rest))
                result.json = std::move(*words), result.is_json = true;
        // ONBUILD's own instruction may have them.
        const std::string inner = result.keyword == "ONBUILD"
                                      ? upper(std::string(split_keyword(result.rest).first))
                                      : result.keyword;
        if (is_in(inner, takes_heredocs) && !result.is_json) heredocs(result);
    }

    // The words at the beginning that start with "--", quotes and escapes resolved; "--" alone ends
    // them.
    static std::string_view take_flags(std::string_view text, Statement& statement) {
        while (text.starts_with("--")) {
            std::string word;
            char quote = 0;
            size_t i = 0;
            for (; i < text.size() && (quote || !is_blank(text[i])); ++i) {
                const char c = text[i];
                if (quote ? c == quote : c == '"' || c == '\'')
                    quote = quote ? '\0' : c;
                else if (c != '\\')
                    word += c;
                else if (i + 1 < text.size())
                    word += text[++i];
            }
            text = trim_start(text.substr(i));
            if (word == "--") break;
            const size_t equals = word.find('=');
            const bool is_bare = equals == std::string::npos;
            statement.flags.emplace_back(word.substr(2, is_bare ? equals : equals - 2),
                                         is_bare ? "" : word.substr(equals + 1));
            if (is_bare) statement.bare_flags.push_back(word.substr(2));
        }
        return text;
    }

    // "3<<-'EOF'" as a word of the statement; nothing if it is another word ("<<<" is the shell's).
    struct Mark {
        Heredoc heredoc;
        bool strip_tabs = false;
    };
    static std::optional<Mark> heredoc_mark(std::string_view word) {
        word = word.substr(std::min(word.find_first_not_of("0123456789"), word.size()));
        if (!word.starts_with("<<")) return {};
        word.remove_prefix(2);
        Mark out;
        out.strip_tabs = word.starts_with('-');
        word.remove_prefix(out.strip_tabs);
        if (word.empty() || word.contains('<')) return {};
        out.heredoc.name =
            expand(word, '\\', [](const std::string& name) { return std::optional("$" + name); });
        out.heredoc.expand =
            out.heredoc.name == word;  // quoted, if only in part: not to be expanded
        if (out.heredoc.name.empty()) return {};
        return out;
    }

    static std::string_view without_tabs(std::string_view line) {
        return line.substr(std::min(line.find_first_not_of('\t'), line.size()));
    }

    void heredocs(Statement& statement) {
        for (const std::string& word : raw_words(statement.rest, '\\')) {
            auto mark = heredoc_mark(word);
            if (!mark) continue;
            Heredoc& heredoc = mark->heredoc;
            for (;; ++at_) {
                if (at_ >= lines_.size())
                    throw Error("unterminated heredoc ", quoted(heredoc.name));
                std::string_view line = lines_[at_], end = line_at(at_);
                if (mark->strip_tabs) line = without_tabs(line), end = without_tabs(end);
                if (end == heredoc.name) break;
                heredoc.content += str(line, "\n");
            }
            ++at_;
            statement.heredocs.push_back(std::move(heredoc));
        }
    }

    const std::string& name_;
    std::vector<std::string> lines_;
    size_t at_ = 0;
    std::vector<std::string> comments_;  // since the last empty line
    Dockerfile file_;
};

}  // namespace

const std::string* Statement::flag(std::string_view name) const {
    const std::string* found = nullptr;
    for (const auto& [key, value] : flags)
        if (key == name) found = &value;
    return found;
}

Dockerfile parse_dockerfile(std::string_view text, const std::string& name) {
    return Parser(text, name).parse();
}

std::optional<std::vector<std::string>> json_words(std::string_view text) {
    if (!text.starts_with('[')) return {};
    json::Value value;
    try {
        value = json::parse(text);
    } catch (const Error&) {
        return {};
    }
    std::vector<std::string> words;
    for (const json::Value& word : value) {
        if (!word.is_string()) throw Error("only string type is allowed in JSON format arrays");
        words.push_back(word.get<std::string>());
    }
    return words;
}
