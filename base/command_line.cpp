// What is hard is the order. The global options end at the first word that is none of them, and
// only the command that this word names says which options come next: so one parser runs twice,
// over two tables, and says where it stopped. A word with dashes is help or version first, then a
// whole option's name, then a cluster of letters, in which the first that takes a value takes the
// rest. Values are checked as they are read, in the words of Go's strconv, and kept as the commands
// read them ("0x1f" as "31").
//
// Before all that the process itself is put right: it may have been started without standard
// streams, or with the ends of its children ignored.
#include "base/command_line.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <expected>

#include "base/boolean.h"
#include "base/duration.h"
#include "base/error.h"

std::optional<bool> parse_bool(std::string_view word) {
    static constexpr std::string_view yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static constexpr std::string_view no[] = {"0", "f", "F", "false", "FALSE", "False"};
    if (std::ranges::find(yes, word) != std::end(yes)) return true;
    if (std::ranges::find(no, word) != std::end(no)) return false;
    return {};
}

bool Arguments::has(std::string_view name) const { return given_.contains(name); }
bool Arguments::flag(std::string_view name) const {
    const auto at = given_.find(name);
    return at != given_.end() && at->second.back() == "true";
}
std::optional<std::string> Arguments::value(std::string_view name) const {
    const auto at = given_.find(name);
    if (at == given_.end()) return {};
    return at->second.back();
}
std::string Arguments::get(std::string_view name) const {
    if (auto typed = value(name)) return *typed;
    const auto at = fallbacks_.find(name);
    return at == fallbacks_.end() ? "" : at->second;
}
std::vector<std::string> Arguments::all(std::string_view name) const {
    const auto at = given_.find(name);
    return at == given_.end() ? std::vector<std::string>{} : at->second;
}

std::optional<int64_t> Arguments::number(std::string_view name) const {
    const auto typed = value(name);
    return typed ? parse_number<int64_t>(*typed) : std::nullopt;
}

namespace {

// Go's, in base 0: a sign, then 0x, 0o, 0b or 0 before the digits of another base than ten.
std::expected<int64_t, std::errc> parse_integer(std::string_view text, int base) {
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    static constexpr std::pair<const char*, int> prefixes[] = {
        {"0x", 16}, {"0X", 16}, {"0o", 8}, {"0O", 8}, {"0b", 2}, {"0B", 2}, {"0", 8}};
    for (const auto& [prefix, its_base] : prefixes)
        if (base == 0 && text.size() > 1 && text.starts_with(prefix))
            text.remove_prefix(std::strlen(prefix)), base = its_base;
    const std::string digits = (negative ? "-" : "") + std::string(text);
    int64_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, base ? base : 10);
    if (text.starts_with('-') || end != digits.data() + digits.size())
        return std::unexpected(std::errc::invalid_argument);
    if (error != std::errc{}) return std::unexpected(error);
    return value;
}

}  // namespace

struct Parser {
    Style style;
    std::span<const Option> options;
    bool interspersed;
    bool global = false;  // before the command, where --version is one

    const Option* find(std::string_view name) const {
        for (const Option& option : options)
            for (const std::string& known : split(option.names, ','))
                if (known == name) return &option;
        return nullptr;
    }

    [[noreturn]] void fail(const std::string& why) const {
        throw Error(why).exit_with(style == Style::docker ? 125 : 1);
    }

    // To runc one dash or two are the same.
    bool is(const std::string& word, const char* name) const {
        const size_t dashes = word.starts_with("--") ? 2 : word.starts_with('-') ? 1 : 0;
        if (dashes == 0 || word.substr(dashes) != name) return false;
        return style == Style::runc || dashes == (std::strlen(name) == 1 ? 1 : 2);
    }
    bool wants_help(const std::string& word) const {
        return is(word, "help") || (is(word, "h") && !find("h"));
    }
    bool wants_version(const std::string& word) const {
        return global && (is(word, "version") || is(word, "v"));
    }

    static std::string long_name(const Option& option) { return split(option.names, ',')[0]; }
    static std::string name_of(const std::string& word) {
        const std::string name = word.substr(word.starts_with("--") ? 2 : 1);
        return name.substr(0, name.find('='));
    }

    [[noreturn]] void fail_value(const Option& option, const std::string& name,
                                 const std::string& value, const std::string& why) const {
        if (style == Style::runc)
            fail(str("invalid value ", quoted(value), " for flag -", name, ": ", why));
        std::string shown;
        for (const std::string& known : split(option.names, ','))
            shown = known.size() == 1 ? str("-", known, ", ", shown) : str("--", known);
        fail(str("invalid argument ", quoted(value), " for ", quoted(shown), " flag: ", why));
    }

    // Numbers in base ten, as the commands read them.
    std::string checked_integer(const Option& option, const std::string& name,
                                const std::string& value) const {
        const bool one = option.kind == Value::integer;
        const auto number = parse_integer(value, one ? 0 : 10);
        if (number && (*number < option.least || *number > option.most))
            fail_value(
                option, name, value,
                str("value out of range: it must be between ", option.least, " and ", option.most));
        if (number) return std::to_string(*number);
        const bool too_large = number.error() == std::errc::result_out_of_range;
        const std::string words = str("strconv.ParseInt: parsing ", quoted(value),
                                      too_large ? ": value out of range" : ": invalid syntax");
        fail_value(option, name, value,
                   style == Style::docker || !one ? words
                   : too_large                    ? "value out of range"
                                                  : "parse error");
    }

    // The value as the commands read it.
    std::string checked(const Option& option, const std::string& name,
                        const std::string& value) const {
        if (option.kind == Value::integer || option.kind == Value::integers)
            return checked_integer(option, name, value);
        if (option.kind == Value::text || parse_duration(value)) return value;
        fail_value(option, name, value, "parse error");
    }

    void give(Arguments& out, const Option& option, const std::string& name,
              const std::string& value) const {
        out.given_[long_name(option)].push_back(checked(option, name, value));
    }

    void give_switch(Arguments& out, const Option& option, const std::string& name,
                     const std::string& value) const {
        if (const auto on = parse_bool(value))
            return give(out, option, name, *on ? "true" : "false");
        if (style == Style::runc)
            fail(str("invalid boolean value ", quoted(value), " for -", name, ": parse error"));
        fail(str("invalid argument ", quoted(value), " for --", long_name(option),
                 ": expected true or false"));
    }

    // A positional word. Behind the first one runc takes what it does not know for one, too.
    bool is_positional(const std::string& word, const Arguments& out) const {
        if (word.size() < 2 || word[0] != '-') return true;
        return style == Style::runc && !out.words_.empty() && !find(name_of(word));
    }

    // Words from `at` on; stops behind the options if they are not interspersed. Gives the index of
    // the first word that is not an option's.
    size_t parse(const std::vector<std::string>& words, size_t at, Arguments& out) const {
        for (const Option& option : options)
            if (*option.fallback) out.fallbacks_[long_name(option)] = option.fallback;
        for (; at < words.size(); ++at) {
            const std::string& word = words[at];
            if (word == "--") {
                ++at;
                break;
            }
            if (wants_help(word) || wants_version(word)) return at;
            if (is_positional(word, out)) {
                if (!interspersed) break;
                out.words_.push_back(word);
                continue;
            }
            const bool dashes = word.starts_with("--");
            const std::string name = name_of(word);
            if (style == Style::runc && (name.empty() || name[0] == '-'))
                fail("bad flag syntax: " + word);
            std::optional<std::string> value;
            if (const size_t equals = word.find('='); equals != std::string::npos)
                value = word.substr(equals + 1);
            const bool whole = style == Style::runc || dashes == (name.size() > 1);
            const Option* option = whole ? find(name) : nullptr;
            if (option) {
                if (!option->value)
                    give_switch(out, *option, name, value.value_or("true"));
                else if (value)
                    give(out, *option, name, *value);
                else if (++at < words.size())
                    give(out, *option, name, words[at]);
                else
                    fail(str("flag needs an argument: ", style == Style::runc ? "-" + name : word));
                continue;
            }
            if (dashes) fail(unknown(word, name));
            at = parse_cluster(words, at, out);
        }
        while (interspersed && at < words.size()) out.words_.push_back(words[at++]);
        return at;
    }

private:
    // "-it", "-p8080:80", "-dp 8080:80"
    size_t parse_cluster(const std::vector<std::string>& words, size_t at, Arguments& out) const {
        const std::string& word = words[at];
        for (size_t i = 1; i < word.size(); ++i) {
            const std::string name(1, word[i]);
            const Option* option = find(name);
            if (!option) fail(unknown(word, style == Style::runc ? name_of(word) : name));
            if (!option->value) {
                if (i + 1 < word.size() && word[i + 1] == '=') {
                    give_switch(out, *option, name, word.substr(i + 2));
                    return at;
                }
                give_switch(out, *option, name, "true");
                continue;
            }
            std::string rest = word.substr(i + 1);
            if (rest.starts_with('='))
                rest.erase(0, 1);
            else if (rest.empty()) {
                if (++at >= words.size()) fail(str("flag needs an argument: ", word));
                rest = words[at];
            }
            give(out, *option, name, rest);
            return at;
        }
        return at;
    }

    std::string unknown(const std::string& word, const std::string& name) const {
        if (style == Style::runc) return str("flag provided but not defined: -", name);
        if (word.starts_with("--")) return str("unknown flag: --", name);
        return str("unknown shorthand flag: '", name, "' in ", word);
    }
};

namespace {

void print_options(std::span<const Option> options) {
    size_t width = 0;
    auto left = [](const Option& option) {
        std::string text;
        for (const std::string& name : split(option.names, ','))
            text += str(text.empty() ? "" : ", ", name.size() == 1 ? "-" : "--", name);
        if (option.value) text += str(" ", option.value);
        return text;
    };
    for (const Option& option : options)
        if (!option.hidden) width = std::max(width, left(option).size());
    for (const Option& option : options) {
        if (option.hidden) continue;
        const std::string fallback =
            *option.fallback ? str(" (default: ", option.fallback, ")") : "";
        std::printf("   %-*s  %s%s\n", int(width), left(option).c_str(), option.help,
                    fallback.c_str());
    }
}

void print_help(const Program& program) {
    std::printf("NAME:\n   %s - %s\n\nUSAGE:\n   %s [global options] command [command options] "
                "[arguments...]\n\nCOMMANDS:\n",
                program.name, program.summary, program.name);
    size_t width = 0;
    for (const Command* command : program.commands)
        if (!command->hidden) width = std::max(width, std::strlen(command->name));
    for (const Command* command : program.commands)
        if (!command->hidden)
            std::printf("   %-*s  %s\n", int(width), command->name, command->summary);
    std::printf("\nGLOBAL OPTIONS:\n");
    print_options(program.globals);
    std::printf("   --help, -h  show this help\n   --version, -v  print the version\n");
}

void print_help(const Program& program, const Command& command) {
    std::printf("NAME:\n   %s %s - %s\n\nUSAGE:\n   %s %s %s%s\n", program.name, command.name,
                command.summary, program.name, command.name,
                command.options.empty() ? "" : "[command options] ", command.synopsis);
    if (command.options.empty()) return;
    std::printf("\nOPTIONS:\n");
    print_options(command.options);
}

// The command that the words from `at` on name ("image ls" before "image"); moves `at` behind it.
const Command* find_command(const Program& program, const std::vector<std::string>& words,
                            size_t& at) {
    for (const size_t count : {size_t(2), size_t(1)}) {
        if (at + count > words.size()) continue;
        const std::string name = count == 2 ? words[at] + " " + words[at + 1] : words[at];
        for (const Command* command : program.commands)
            if (command->name == name) {
                at += count;
                return command;
            }
    }
    return nullptr;
}

void check_count(const Program& program, const Command& command, const Arguments& args) {
    if (args.size() >= command.least && args.size() <= command.most) return;
    const char* bound = command.least == command.most ? "exactly"
                        : args.size() < command.least ? "a minimum of"
                                                      : "a maximum of";
    const size_t wanted = args.size() < command.least ? command.least : command.most;
    if (program.style == Style::docker)
        throw Error(quoted(str(program.name, " ", command.name)), " requires ",
                    command.least == command.most ? "exactly"
                    : args.size() < command.least ? "at least"
                                                  : "at most",
                    " ", wanted, " argument", wanted == 1 ? "" : "s", "\nUsage: ", program.name,
                    " ", command.name, " ", command.options.empty() ? "" : "[OPTIONS] ",
                    command.synopsis, "\nSee '", program.name, " ", command.name, " --help'")
            .exit_with(command.name == std::string_view("run") ? 125 : 1);
    std::printf("Incorrect Usage.\n\n");
    print_help(program, command);
    std::fflush(stdout);
    throw Error(program.name, ": ", quoted(command.name), " requires ", bound, " ", wanted,
                " argument(s)");
}

// Reads the options of one place; what is wrong with them is told with the usage where runc does
// that.
template <class PrintHelp>
size_t parse(const Parser& parser, const std::vector<std::string>& words, size_t at, Arguments& out,
             PrintHelp&& print_usage) try {
    return parser.parse(words, at, out);
} catch (const Error& e) {
    if (parser.style == Style::runc) {
        std::printf("Incorrect Usage%s %s\n\n", parser.global ? "." : ":", e.what());
        print_usage();
        std::fflush(stdout);
    }
    throw;
}

// "help run", "--help run"
int help(const Program& program, const std::vector<std::string>& words, size_t at) {
    const Command* command = find_command(program, words, at);
    if (!command && at < words.size() && program.style == Style::runc)
        throw Error("No help topic for '", words[at], "'").exit_with(3);
    if (command)
        print_help(program, *command);
    else
        print_help(program);
    return 0;
}

int dispatch_command(const Program& program, const Command& command,
                     const std::vector<std::string>& words, size_t at, const Arguments& globals) {
    const Parser parser{program.style, command.options, command.interspersed};
    Arguments args;
    try {
        at = parse(parser, words, at, args, [&] { print_help(program, command); });
    } catch (const Error& e) {
        if (program.style == Style::runc) throw;
        throw Error(e.what(), "\nSee '", program.name, " ", command.name, " --help'")
            .exit_with(125);
    }
    if (at < words.size() && words[at - 1] != "--" && parser.wants_help(words[at])) {
        print_help(program, command);
        return 0;
    }
    if (!command.interspersed)
        // The words behind the options are the command's, whatever they look like.
        for (; at < words.size(); ++at) args.add_word(words[at]);
    check_count(program, command, args);
    return command.run(globals, args);
}

// Who is started without one of the three would open a file of its own there, and write its errors
// into it.
void open_standard_streams() {
    while (true) {
        const int lowest = ::open("/dev/null", O_RDWR);
        if (lowest > 2) ::close(lowest);
        if (lowest < 0 || lowest > 2) return;
    }
}

}  // namespace

int dispatch(const Program& program, int argc, char** argv) {
    open_standard_streams();
    // Who ignores the ends of his own children starts us ignoring ours, and the kernel would not
    // tell us of them.
    ::signal(SIGCHLD, SIG_DFL);
    const std::vector<std::string> words(argv + 1, argv + argc);
    const Parser parser{program.style, program.globals, false, true};
    Arguments globals;
    size_t at = parse(parser, words, 0, globals, [&] { print_help(program); });
    if (at >= words.size()) return help(program, words, at);
    if (parser.wants_help(words[at])) return help(program, words, at + 1);
    if (parser.wants_version(words[at])) return program.print_version(), 0;
    if (program.prepare) program.prepare(globals);
    if (words[at] == "help" || (words[at] == "h" && program.style == Style::runc))
        return help(program, words, at + 1);
    const size_t first = at;
    if (const Command* command = find_command(program, words, at))
        return dispatch_command(program, *command, words, at, globals);
    if (program.style == Style::docker)
        throw Error("unknown command: ", program.name, " ", words[first], "\nRun '", program.name,
                    " --help' for usage")
            .exit_with(1);
    if (words[first].empty()) return help(program, {}, 0);
    throw Error("No help topic for '", words[first], "'").exit_with(3);
}
