// A template is parsed to a tree once and walked for each row. Go's rules that surprise: a term in
// a pipeline becomes the *last* argument of the next command; "{{-" and "-}}" eat white space;
// `range` over an object goes by sorted keys; `and` and `or` give an operand, not true or false.
#include "cli/template.h"

#include <algorithm>
#include <functional>

using json::Value;

namespace {

struct Pipeline;
struct Term {
    enum Kind { dot, variable, function, literal, group } kind = dot;
    std::string name;               // of a variable or a function
    std::vector<std::string> path;  // the fields behind it
    Value value;                    // of a literal
    std::shared_ptr<Pipeline> inner;
};
struct Pipeline {
    std::vector<std::string> declares;
    std::vector<std::vector<Term>> commands;
};
struct Node {
    enum Kind { text, output, if_, range, with } kind = text;
    std::string words;
    Pipeline pipeline;
    std::vector<Node> body, otherwise;
};

[[noreturn]] void bad(const std::string& why) { throw Error("template parsing error: ", why); }

// --- parsing

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// The inside of one {{ action }}.
class ActionParser {
public:
    explicit ActionParser(std::string_view text) : text_(text) {}

    bool take_word(std::string_view word) {
        skip();
        if (!text_.substr(at_).starts_with(word)) return false;
        if (at_ + word.size() < text_.size() && is_name(text_[at_ + word.size()])) return false;
        at_ += word.size();
        return true;
    }
    bool at_end() {
        skip();
        return at_ >= text_.size();
    }
    Pipeline pipeline() {
        Pipeline out;
        declare(out);
        do out.commands.push_back(command());
        while (take('|'));
        return out;
    }

private:
    void skip() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    }
    bool take(char c) {
        skip();
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    std::string name() {
        const size_t start = at_;
        while (at_ < text_.size() && is_name(text_[at_])) ++at_;
        return std::string(text_.substr(start, at_ - start));
    }
    // "$i, $x :=", or nothing of the kind
    void declare(Pipeline& out) {
        skip();
        const size_t start = at_;
        std::vector<std::string> names;
        while (take('$')) {
            names.push_back(name());
            if (take(',')) {
                skip();
                continue;
            }
            skip();
            if (text_.substr(at_).starts_with(":=")) {
                at_ += 2;
                out.declares = std::move(names);
                return;
            }
            break;
        }
        at_ = start;
    }
    std::vector<Term> command() {
        std::vector<Term> terms;
        while (!at_end() && text_[at_] != '|' && text_[at_] != ')') terms.push_back(term());
        if (terms.empty()) bad("missing value for command");
        return terms;
    }
    Term term() {
        if (++depth_ > 100) bad("too deeply nested");
        Term out;
        const char c = text_[at_];
        if (c == '.') {
            out.kind = Term::dot;
            if (at_ + 1 >= text_.size() || !is_name(text_[at_ + 1])) ++at_;
        } else if (c == '$') {
            ++at_;
            out = {.kind = Term::variable, .name = name()};
        } else if (c == '(') {
            ++at_;
            out.kind = Term::group;
            out.inner = std::make_shared<Pipeline>(pipeline());
            if (!take(')')) bad("unclosed left paren");
        } else if (c == '"' || c == '`' || c == '\'') {
            out = {.kind = Term::literal, .value = string(c)};
        } else if (std::isdigit(static_cast<unsigned char>(c)) || c == '-') {
            out = {.kind = Term::literal, .value = number()};
        } else if (is_name(c)) {
            out = {.kind = Term::function, .name = name()};
            if (out.name == "true" || out.name == "false")
                out = {.kind = Term::literal, .value = out.name == "true"};
            else if (out.name == "nil")
                out = {.kind = Term::literal};
        } else {
            bad(str("unexpected ", quoted(std::string(1, c)), " in operand"));
        }
        while (at_ + 1 < text_.size() && text_[at_] == '.' && is_name(text_[at_ + 1])) {
            ++at_;
            out.path.push_back(name());
        }
        --depth_;
        return out;
    }
    std::string string(char quote) {
        std::string out;
        for (++at_; at_ < text_.size(); ++at_) {
            char c = text_[at_];
            if (c == quote) {
                ++at_;
                return out;
            }
            if (c == '\\' && quote == '"' && at_ + 1 < text_.size()) {
                c = text_[++at_];
                c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
            }
            out += c;
        }
        bad("unterminated quoted string");
    }
    Value number() {
        const size_t start = at_++;
        while (at_ < text_.size() && (is_name(text_[at_]) || text_[at_] == '.')) ++at_;
        const std::string_view digits = text_.substr(start, at_ - start);
        if (const auto whole = parse_number<int64_t>(digits)) return *whole;
        bad(str("bad number syntax: ", quoted(digits)));
    }

    std::string_view text_;
    size_t at_ = 0;
    int depth_ = 0;
};

// The whole text: words and actions in turn.
class TemplateParser {
public:
    explicit TemplateParser(std::string_view text) : text_(text) {}

    std::vector<Node> parse() {
        std::vector<Node> nodes;
        std::string ended_by = body(nodes, 0);
        if (!ended_by.empty()) bad(str("unexpected {{", ended_by, "}}"));
        return nodes;
    }

private:
    // Nodes up to {{end}} or {{else …}}, whose text it gives; "" at the end of the text.
    std::string body(std::vector<Node>& nodes, int depth) {
        if (depth > 100) bad("too deeply nested");
        while (at_ < text_.size()) {
            const size_t open = text_.find("{{", at_);
            std::string words(text_.substr(at_, open - at_));
            if (trim_next_) words.erase(0, words.find_first_not_of(" \t\r\n"));
            if (open == std::string_view::npos) {
                at_ = text_.size();
                nodes.push_back({.words = words});
                break;
            }
            std::string action = next_action(open, words);
            nodes.push_back({.words = words});
            if (action.starts_with("/*")) continue;
            ActionParser parser(action);
            if (parser.take_word("end")) return "end";
            if (parser.take_word("else")) return action;
            if (parser.take_word("if"))
                nodes.push_back(block(Node::if_, parser, depth));
            else if (parser.take_word("range"))
                nodes.push_back(block(Node::range, parser, depth));
            else if (parser.take_word("with"))
                nodes.push_back(block(Node::with, parser, depth));
            else
                nodes.push_back({.kind = Node::output, .pipeline = whole(parser)});
        }
        return "";
    }
    std::string next_action(size_t open, std::string& words_before) {
        size_t start = open + 2;
        if (text_.substr(start).starts_with("- ")) {
            ++start;
            const size_t last = words_before.find_last_not_of(" \t\r\n");
            words_before.erase(last == std::string::npos ? 0 : last + 1);
        }
        const size_t close = text_.find("}}", start);
        if (close == std::string_view::npos) bad("unclosed action");
        at_ = close + 2;
        std::string action(text_.substr(start, close - start));
        trim_next_ = action.ends_with(" -");
        if (trim_next_) action.pop_back();
        return std::string(trim(action));
    }
    static Pipeline whole(ActionParser& parser) {
        Pipeline out = parser.pipeline();
        if (!parser.at_end()) bad("unexpected \")\"");
        return out;
    }
    Node block(Node::Kind kind, ActionParser& parser, int depth) {
        Node node{.kind = kind, .pipeline = whole(parser)};
        std::string ended_by = body(node.body, depth + 1);
        if (ended_by.starts_with("else")) {
            ActionParser next(ended_by);
            next.take_word("else");
            if (next.take_word("if")) {
                node.otherwise.push_back(block(Node::if_, next, depth + 1));
                return node;
            }
            ended_by = body(node.otherwise, depth + 1);
        }
        if (ended_by != "end") bad("unexpected EOF");
        return node;
    }

    std::string_view text_;
    size_t at_ = 0;
    bool trim_next_ = false;
};

// --- values

bool truth(const Value& value) {
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_number()) return value.get<double>() != 0;
    if (value.is_string()) return !value.get_ref<const std::string&>().empty();
    return !value.empty();
}

std::vector<std::pair<std::string, Value>> sorted(const Value& object) {
    std::vector<std::pair<std::string, Value>> out;
    for (const auto& [key, value] : object.items()) out.emplace_back(key, value);
    std::ranges::sort(out, {}, &std::pair<std::string, Value>::first);
    return out;
}

// As fmt.Print shows it.
std::string shown(const Value& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_null()) return "<no value>";
    std::string out;
    if (value.is_array()) {
        for (const Value& element : value) out += str(out.empty() ? "" : " ", shown(element));
        return "[" + out + "]";
    }
    if (value.is_object()) {
        for (const auto& [key, element] : sorted(value))
            out += str(out.empty() ? "" : " ", key, ":", shown(element));
        return "map[" + out + "]";
    }
    return json::dump(value);
}

std::string as_text(const Value& value, const char* function) {
    if (!value.is_string())
        throw Error("error calling ", function, ": wrong type of argument: expected a string");
    return value.get<std::string>();
}
int64_t as_number(const Value& value, const char* function) {
    if (!value.is_number_integer())
        throw Error("error calling ", function, ": wrong type of argument: expected a number");
    return value.get<int64_t>();
}

using Arguments = std::vector<Value>;
struct Function {
    const char* name;
    size_t least, most;
    Value (*call)(const Arguments&);
};

Value index(const Arguments& args) {
    Value at = args[0];
    for (size_t i = 1; i < args.size(); ++i) {
        if (at.is_object() && args[i].is_string()) {
            const auto found = at.find(args[i].get<std::string>());
            Value next = found == at.end() ? Value() : *found;
            at = std::move(next);
        } else if (at.is_array() && args[i].is_number_integer()) {
            const auto n = args[i].get<int64_t>();
            if (n < 0 || size_t(n) >= at.size())
                throw Error("error calling index: index out of range: ", n);
            Value next = at[size_t(n)];
            at = std::move(next);
        } else {
            throw Error("error calling index: cannot index this value");
        }
    }
    return at;
}

// "-12": at least so many characters, to the left with the dash. Zeros before a number, too.
std::string in_width(std::string text, std::string width) {
    const bool left = width.starts_with('-');
    if (left) width.erase(0, 1);
    const char fill = !left && width.starts_with('0') ? '0' : ' ';
    const size_t wanted = std::min<size_t>(parse_number<size_t>(width).value_or(0), 1000);
    const size_t has = size_t(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
    if (has >= wanted) return text;
    return left ? text + std::string(wanted - has, ' ') : std::string(wanted - has, fill) + text;
}

Value printf_(const Arguments& args) {
    const std::string format = as_text(args[0], "printf");
    std::string out;
    size_t next = 1;
    for (size_t i = 0; i < format.size(); ++i) {
        if (format[i] != '%' || i + 1 == format.size()) {
            out += format[i];
            continue;
        }
        const size_t end = format.find_first_not_of("-0123456789", i + 1);
        const std::string width = format.substr(i + 1, end == std::string::npos ? 0 : end - i - 1);
        const char verb = end == std::string::npos ? '!' : format[end];
        i = end == std::string::npos ? format.size() : end;
        if (verb == '%') {
            out += '%';
            continue;
        }
        if (!std::string_view("svdq").contains(verb))
            throw Error("error calling printf: %", verb, " is not supported");
        const std::string text =
            next < args.size() ? shown(args[next++]) : "%!" + std::string(1, verb) + "(MISSING)";
        out += in_width(verb == 'q' ? ::quoted(text) : text, width);
    }
    return out;
}

// `slice X 1 3`: of a text its bytes, of a list its elements.
Value slice(const Arguments& args) {
    const bool is_text = args[0].is_string();
    if (!is_text && !args[0].is_array())
        throw Error("error calling slice: cannot slice this value");
    const size_t size = is_text ? args[0].get_ref<const std::string&>().size() : args[0].size();
    const auto bound = [&](size_t i, size_t otherwise) {
        if (args.size() <= i) return otherwise;
        const int64_t n = as_number(args[i], "slice");
        if (n < 0 || size_t(n) > size) throw Error("error calling slice: index out of range: ", n);
        return size_t(n);
    };
    const size_t from = bound(1, 0), to = bound(2, size);
    if (from > to) throw Error("error calling slice: invalid slice index: ", from, " > ", to);
    if (is_text) return args[0].get_ref<const std::string&>().substr(from, to - from);
    Value out = Value::array();
    for (size_t i = from; i < to; ++i) out.push_back(args[0][i]);
    return out;
}

// Below zero, zero, above zero.
int compare(const Value& a, const Value& b) {
    if (a.is_number() && b.is_number()) {
        const double x = a.get<double>(), y = b.get<double>();
        return x < y ? -1 : x > y;
    }
    if (a.is_string() && b.is_string())
        return a.get_ref<const std::string&>().compare(b.get_ref<const std::string&>());
    throw Error("incompatible types for comparison");
}

std::string padded(const Arguments& args) {
    const std::string text = as_text(args[0], "pad");
    if (text.empty()) return text;
    const auto width = [&](const Value& value) {
        return size_t(std::clamp<int64_t>(as_number(value, "pad"), 0, 1000));
    };
    return std::string(width(args[1]), ' ') + text + std::string(width(args[2]), ' ');
}

std::string title(std::string text) {
    bool first = true;
    for (char& c : text) {
        if (first && c >= 'a' && c <= 'z') c = char(c - 'a' + 'A');
        first = c == ' ';
    }
    return text;
}

constexpr Function functions[] = {
    {"and", 1, 100,
     [](const Arguments& a) {
         for (const Value& value : a)
             if (!truth(value)) return value;
         return a.back();
     }},
    {"or", 1, 100,
     [](const Arguments& a) {
         for (const Value& value : a)
             if (truth(value)) return value;
         return a.back();
     }},
    {"not", 1, 1, [](const Arguments& a) { return Value(!truth(a[0])); }},
    {"eq", 2, 100,
     [](const Arguments& a) { return Value(std::find(a.begin() + 1, a.end(), a[0]) != a.end()); }},
    {"ne", 2, 2, [](const Arguments& a) { return Value(a[0] != a[1]); }},
    {"lt", 2, 2, [](const Arguments& a) { return Value(compare(a[0], a[1]) < 0); }},
    {"le", 2, 2, [](const Arguments& a) { return Value(compare(a[0], a[1]) <= 0); }},
    {"gt", 2, 2, [](const Arguments& a) { return Value(compare(a[0], a[1]) > 0); }},
    {"ge", 2, 2, [](const Arguments& a) { return Value(compare(a[0], a[1]) >= 0); }},
    {"index", 1, 100, index},
    {"join", 2, 2,
     [](const Arguments& a) {
         std::vector<std::string> pieces;
         for (const Value& value : a[0]) pieces.push_back(shown(value));
         return Value(join(pieces, as_text(a[1], "join")));
     }},
    {"json", 1, 1, [](const Arguments& a) { return Value(json::dump(a[0])); }},
    {"len", 1, 1,
     [](const Arguments& a) {
         return Value(a[0].is_string() ? a[0].get_ref<const std::string&>().size() : a[0].size());
     }},
    {"lower", 1, 1, [](const Arguments& a) { return Value(lower(as_text(a[0], "lower"))); }},
    {"pad", 3, 3, [](const Arguments& a) { return Value(padded(a)); }},
    {"print", 0, 100,
     [](const Arguments& a) {
         std::string out;
         for (const Value& value : a) out += shown(value);
         return Value(out);
     }},
    {"printf", 1, 100, printf_},
    {"println", 0, 100,
     [](const Arguments& a) {
         std::string out;
         for (const Value& value : a) out += str(out.empty() ? "" : " ", shown(value));
         return Value(out + "\n");
     }},
    {"slice", 1, 3, slice},
    {"split", 2, 2,
     [](const Arguments& a) {
         const std::string separator = as_text(a[1], "split");
         if (separator.size() != 1)
             throw Error("error calling split: the separator must be one character");
         return Value(split(as_text(a[0], "split"), separator[0]));
     }},
    {"title", 1, 1, [](const Arguments& a) { return Value(title(as_text(a[0], "title"))); }},
    {"truncate", 2, 2,
     [](const Arguments& a) {
         return Value(as_text(a[0], "truncate")
                          .substr(0, size_t(std::max<int64_t>(0, as_number(a[1], "truncate")))));
     }},
    {"upper", 1, 1, [](const Arguments& a) { return Value(upper(as_text(a[0], "upper"))); }},
};

// --- rendering

class Renderer {
public:
    Renderer(const Value& data, bool headers, std::string_view kept)
        : whole_(data), headers_(headers), kept_(kept) {}

    void run(const std::vector<Node>& nodes, const Value& dot) {
        const size_t outer = variables_.size();
        for (const Node& node : nodes) run(node, dot);
        variables_.resize(outer);
    }
    std::string out;

private:
    void run(const Node& node, const Value& dot) {
        if (node.kind == Node::text) {
            out += node.words;
            return;
        }
        if (is_field_alone(node)) return print(field(dot, node.pipeline.commands[0][0].path));
        const Value value = evaluate(node.pipeline, dot);
        const auto& declares = node.pipeline.declares;
        const size_t outer = variables_.size();
        if (!declares.empty() && node.kind != Node::range)
            variables_.emplace_back(declares.back(), value);
        if (node.kind == Node::output) {
            if (declares.empty()) print(value);
            return;  // a variable of {{$x := …}} lives to the end of the enclosing block
        }
        if (node.kind == Node::if_) run(truth(value) ? node.body : node.otherwise, dot);
        if (node.kind == Node::with)
            truth(value) ? run(node.body, value) : run(node.otherwise, dot);
        if (node.kind == Node::range) range(node, value, dot);
        variables_.resize(outer);
    }
    // Nearly all of a table is such, and is printed from where it stands.
    static bool is_field_alone(const Node& node) {
        const auto& [declares, commands] = node.pipeline;
        return node.kind == Node::output && declares.empty() && commands.size() == 1 &&
               commands[0].size() == 1 && commands[0][0].kind == Term::dot;
    }
    void print(const Value& value) {
        if (const auto* text = value.get_ptr<const std::string*>())
            out += visible(*text, kept_);
        else
            out += visible(shown(value), kept_);
    }
    void range(const Node& node, const Value& value, const Value& dot) {
        if (!value.is_array() && !value.is_object() && !value.is_null())
            throw Error("range can't iterate over ", shown(value));
        if (value.empty()) return run(node.otherwise, dot);
        const auto one = [&](const Value& key, const Value& element) {
            const auto& declares = node.pipeline.declares;
            const size_t outer = variables_.size();
            if (declares.size() == 2) variables_.emplace_back(declares[0], key);
            if (!declares.empty()) variables_.emplace_back(declares.back(), element);
            run(node.body, element);
            variables_.resize(outer);
        };
        if (value.is_array())
            for (size_t i = 0; i < value.size(); ++i) one(i, value[i]);
        else
            for (const auto& [key, element] : sorted(value)) one(key, element);
    }

    Value evaluate(const Pipeline& pipeline, const Value& dot) {
        std::optional<Value> piped;
        for (const auto& command : pipeline.commands) piped = evaluate(command, dot, piped);
        return piped.value_or(Value());
    }
    Value evaluate(const std::vector<Term>& command, const Value& dot,
                   const std::optional<Value>& piped) {
        const Term& first = command[0];
        std::vector<Value> arguments;
        for (size_t i = 1; i < command.size(); ++i) arguments.push_back(evaluate(command[i], dot));
        if (piped) arguments.push_back(*piped);
        if (first.kind == Term::function) return call(first, arguments);
        if (first.kind == Term::dot && first.path == std::vector<std::string>{"Label"} &&
            arguments.size() == 1)
            return label(dot, arguments[0]);
        if (!arguments.empty())
            throw Error("can't give argument to non-function ", shown_term(first));
        return evaluate(first, dot);
    }
    Value evaluate(const Term& term, const Value& dot) {
        switch (term.kind) {
            case Term::dot: return field(dot, term.path);
            case Term::literal: return field(term.value, term.path);
            case Term::group: return field(evaluate(*term.inner, dot), term.path);
            case Term::variable: return field(variable(term.name), term.path);
            case Term::function: break;
        }
        return call(term, {});
    }
    // What is not asked for is not copied: a row has many fields.
    static const Value& field(const Value& whole, const std::vector<std::string>& path) {
        const Value* value = &whole;
        for (const std::string& name : path) {
            if (!value->is_object())
                throw Error("can't evaluate field ", name, " in ", shown(*value));
            const auto found = value->find(name);
            if (found == value->end()) throw Error("map has no entry for key ", quoted(name));
            value = &*found;
        }
        return *value;
    }
    Value call(const Term& term, const std::vector<Value>& arguments) {
        const auto* function = std::ranges::find(functions, term.name, &Function::name);
        if (function == std::end(functions))
            bad(str("function ", quoted(term.name), " not defined"));
        if (headers_) {
            for (const Value& argument : arguments)
                if (argument.is_string()) return argument;
            return "";
        }
        if (arguments.size() < function->least || arguments.size() > function->most)
            throw Error("wrong number of args for ", term.name, ": got ", arguments.size());
        return function->call(arguments);
    }
    // .Label "key": of a row whose Labels are "key=value,key=value"
    static Value label(const Value& dot, const Value& key) {
        const auto labels = dot.find("Labels");
        if (labels == dot.end() || !labels->is_string())
            throw Error("map has no entry for key \"Label\"");
        for (const std::string& pair : split(labels->get<std::string>(), ','))
            if (pair.starts_with(shown(key) + "=")) return pair.substr(shown(key).size() + 1);
        return "";
    }
    const Value& variable(const std::string& name) const {
        for (auto at = variables_.rbegin(); at != variables_.rend(); ++at)
            if (at->first == name) return at->second;
        if (name.empty()) return whole_;
        bad(str("undefined variable ", quoted("$" + name)));
    }
    static std::string shown_term(const Term& term) {
        return term.name + (term.path.empty() ? "" : "." + join(term.path, "."));
    }

    const Value& whole_;  // "$"
    std::vector<std::pair<std::string, Value>> variables_;
    bool headers_;
    std::string_view kept_;  // control characters that a value may have
};

std::string with_escapes(const std::string& text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
        if (next != 't' && next != 'n') {
            out += text[i];
            continue;
        }
        out += next == 't' ? '\t' : '\n';
        ++i;
    }
    return out;
}

}  // namespace

struct Template::Body {
    std::vector<Node> nodes;

    std::string render(const Value& data, bool headers, std::string_view kept) const {
        Renderer renderer(data, headers, kept);
        context("template parsing error", [&] { renderer.run(nodes, data); });
        return std::move(renderer.out);
    }
};

Template::Template(const std::string& text)
    : body_(std::make_unique<Body>(Body{TemplateParser(with_escapes(text)).parse()})) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;

// What was made with println, or has several lines, stays so.
std::string Template::render(const Value& data) const { return body_->render(data, false, "\n\t"); }
std::string Template::render_cells(const Value& row) const { return body_->render(row, false, ""); }
std::string Template::render_headers(const Value& headers) const {
    return body_->render(headers, true, "");
}
