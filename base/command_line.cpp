// What is hard is the order. The global options end at the first word that is none of them, and
// only the command that this word names says which options come next: so one parser runs twice,
// over two tables, and says where it stopped. A word with dashes is help or version first, then a
// whole option's name, then a cluster of letters, in which the first that takes a value takes the
// rest. Values are checked as they are read, in the words of Go's strconv, and kept as the commands
// read them ("0x1f" as "31").
//
// Boost.Program_options has a description of one table's options. Its own reading of the words is
// not Go's ("-b -f" is no value to it, nor "--bundle="), so we read them and hand it what is typed
// of options: it finds them by name, gives their long names, and refuses those that do not exist or
// have no value. That is the end of the reading, so what is wrong in an earlier word is told first;
// and ours are the words in which it is told.
//
// Before all that the process itself is put right: it may have been started without standard
// streams, or with the ends of its children ignored.
#include "base/command_line.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <boost/make_shared.hpp>
#include <boost/program_options/errors.hpp>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <cstdio>
#include <cstring>
#include <expected>

#include "base/boolean.h"
#include "base/duration.h"
#include "base/error.h"

namespace po = boost::program_options;

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

// What Boost knows of an option. A switch has a value, too ("--force=false"); the one that is left
// out is filled in before Boost looks.
struct Known : po::untyped_value {
    explicit Known(const Option& its) : option(its) {}
    const Option& option;
};

// Words as they are read: the options are for Boost, which need not see the positional ones.
struct Reading {
    const std::vector<std::string>& words;
    size_t at;  // the next one
    std::vector<po::option> options;
    std::vector<std::string> positional;
    std::string word, name;  // of the last option, as they were typed: for complaints

    void add(const std::string& key, const std::vector<std::string>& value) {
        options.emplace_back(key, value);
    }
    void add_word() { positional.push_back(words[at++]); }
    // Boost refuses it; what follows it does not matter.
    void add_unknown(const std::string& key) {
        add(key, {});
        at = words.size();
    }
};

}  // namespace

struct Parser {
    Style style;
    std::span<const Option> options;
    bool interspersed;
    bool global = false;  // before the command, where --version is one
    mutable std::optional<po::options_description> described = {};

    // Made for the first option that is typed: many starts have none of one table.
    const po::options_description& description() const {
        if (described) return *described;
        described.emplace();
        // The table's names are in Boost's form: the long one, a comma, the letter.
        for (const Option& option : options)
            described->add(
                boost::make_shared<po::option_description>(option.names, new Known(option)));
        return *described;
    }

    // Boost keeps a letter with its dash; to it, nothing is the letter of all that have none.
    static std::string key(const std::string& name) { return name.size() == 1 ? "-" + name : name; }
    const Option* find(const std::string& name) const {
        if (name.empty() || name[0] == '-') return nullptr;
        const auto* found = description().find_nothrow(key(name), false);
        return found ? &static_cast<const Known&>(*found->semantic()).option : nullptr;
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

    std::string checked_switch(const Option& option, const std::string& name,
                               const std::string& value) const {
        if (const auto on = parse_bool(value)) return *on ? "true" : "false";
        if (style == Style::runc)
            fail(str("invalid boolean value ", quoted(value), " for -", name, ": parse error"));
        fail(str("invalid argument ", quoted(value), " for --", long_name(option),
                 ": expected true or false"));
    }

    // Words from `at` on; stops behind the options if they are not interspersed. Gives the index of
    // the first word that is not an option's.
    size_t parse(const std::vector<std::string>& words, size_t at, Arguments& out) const {
        for (const Option& option : options)
            if (*option.fallback) out.fallbacks_[long_name(option)] = option.fallback;
        Reading in{.words = words, .at = at};
        read(in);
        for (const po::option& option : ask_boost(in))
            out.given_[option.string_key].push_back(option.value[0]);
        out.words_ = std::move(in.positional);
        return in.at;
    }

private:
    // Which options these are, by their long names. Boost asks for a word's options while words are
    // left: all options are one word's. None is left that it could take for a value, and it need
    // not move the others forward each time.
    std::vector<po::option> ask_boost(const Reading& in) const try {
        if (in.options.empty()) return {};
        const auto hand_over = [&](std::vector<std::string>& left) {
            left.clear();
            return in.options;
        };
        return po::command_line_parser(std::vector{in.word})
            .options(description())
            .extra_style_parser(hand_over)
            .run()
            .options;
    } catch (const po::unknown_option&) {
        fail(unknown(in.word, in.name));
    } catch (const po::invalid_command_line_syntax&) {  // the value that it must have is missing
        fail(str("flag needs an argument: ",
                 style == Style::runc ? "-" + name_of(in.word) : in.word));
    }

    void read(Reading& in) const {
        while (in.at < in.words.size()) {
            const std::string& word = in.words[in.at];
            if (word == "--") {
                ++in.at;
                break;
            }
            if (wants_help(word) || wants_version(word)) return;
            if (!is_positional(in)) {
                read_option(in);
                continue;
            }
            if (!interspersed) return;
            in.add_word();
        }
        while (interspersed && in.at < in.words.size()) in.add_word();
    }

    // A positional word. Behind the first one runc takes what it does not know for one, too.
    bool is_positional(const Reading& in) const {
        const std::string& word = in.words[in.at];
        if (word.size() < 2 || word[0] != '-') return true;
        return style == Style::runc && !in.positional.empty() && !find(name_of(word));
    }

    void read_option(Reading& in) const {
        in.word = in.words[in.at++];
        in.name = name_of(in.word);
        const bool dashes = in.word.starts_with("--");
        if (style == Style::runc && (in.name.empty() || in.name[0] == '-'))
            fail("bad flag syntax: " + in.word);
        const bool whole = style == Style::runc || dashes == (in.name.size() > 1);
        if (const Option* option = whole ? find(in.name) : nullptr) {
            const size_t equals = in.word.find('=');
            const bool has_value = equals != std::string::npos;
            take(in, *option, has_value ? std::optional(in.word.substr(equals + 1)) : std::nullopt);
        } else if (dashes)
            in.add_unknown(in.word);
        else
            read_cluster(in);
    }

    // "-it", "-p8080:80", "-dp 8080:80"
    void read_cluster(Reading& in) const {
        for (size_t i = 1; i < in.word.size(); ++i) {
            in.name = in.word[i];
            const Option* option = find(in.name);
            if (!option) return in.add_unknown(key(in.name));
            const bool is_last = i + 1 == in.word.size();
            if (!is_last && in.word[i + 1] == '=') return take(in, *option, in.word.substr(i + 2));
            if (!is_last && option->value) return take(in, *option, in.word.substr(i + 1));
            take(in, *option, {});
        }
    }

    // With what is typed behind it, or else the next word; without either Boost refuses it.
    void take(Reading& in, const Option& option, std::optional<std::string> value) const {
        if (option.value && !value && in.at < in.words.size()) value = in.words[in.at++];
        if (!option.value)
            in.add(key(in.name), {checked_switch(option, in.name, value.value_or("true"))});
        else if (value)
            in.add(key(in.name), {checked(option, in.name, *value)});
        else
            in.add(key(in.name), {});
    }

    std::string unknown(const std::string& word, const std::string& name) const {
        if (style == Style::runc) return str("flag provided but not defined: -", name_of(word));
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
