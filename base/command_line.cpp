#include "base/command_line.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/error.h"

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

struct Parser {
    Style style;
    std::span<const Option> options;
    bool interspersed;
    bool global = false;   // before the command, where --version is one

    const Option* find(std::string_view name) const {
        for (const Option& option : options)
            for (const std::string& known : split(option.names, ','))
                if (known == name) return &option;
        return nullptr;
    }

    [[noreturn]] void fail(const std::string& why) const {
        throw Error(why).exit_with(style == Style::docker ? 125 : 1);
    }

    bool wants_help(const std::string& word) const { return word == "--help" || (word == "-h" && !find("h")); }
    static bool wants_version(const std::string& word) { return word == "--version" || word == "-version" || word == "-v"; }

    static std::string long_name(const Option& option) { return split(option.names, ',')[0]; }

    void give(Arguments& out, const Option& option, std::string value) const {
        if (option.number && !parse_number<int64_t>(value))
            fail(str("invalid value ", quoted(value), " for flag -", long_name(option), ": strconv.ParseInt: parsing ", quoted(value), ": invalid syntax"));
        out.given_[long_name(option)].push_back(std::move(value));
    }

    void give_switch(Arguments& out, const Option& option, const std::string& value) const {
        static constexpr const char* yes[] = {"1", "t", "T", "true", "TRUE", "True"};
        static constexpr const char* no[] = {"0", "f", "F", "false", "FALSE", "False"};
        const auto is = [&](const char* word) { return value == word; };
        if (std::ranges::any_of(yes, is)) return give(out, option, "true");
        if (std::ranges::any_of(no, is)) return give(out, option, "false");
        if (style == Style::runc) fail(str("invalid boolean value ", quoted(value), " for -", long_name(option), ": parse error"));
        fail(str("invalid argument ", quoted(value), " for --", long_name(option), ": expected true or false"));
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
            if (wants_help(word) || (global && wants_version(word))) return at;
            if (word.size() < 2 || word[0] != '-') {
                if (!interspersed) break;
                out.words_.push_back(word);
                continue;
            }
            const bool dashes = word.starts_with("--");
            std::string name = word.substr(dashes ? 2 : 1);
            std::optional<std::string> value;
            if (const size_t equals = name.find('='); equals != std::string::npos)
                value = name.substr(equals + 1), name.resize(equals);
            const Option* option = dashes || style == Style::runc || name.size() == 1 ? find(name) : nullptr;
            if (option && dashes && name.size() == 1) option = nullptr;
            if (option) {
                if (!option->value) give_switch(out, *option, value.value_or("true"));
                else if (value) give(out, *option, *value);
                else if (++at < words.size()) give(out, *option, words[at]);
                else fail(str("flag needs an argument: ", style == Style::runc ? "-" + name : word));
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
            const Option* option = find(std::string_view(word).substr(i, 1));
            if (!option) fail(unknown(word, std::string(1, word[i])));
            if (!option->value) {
                if (i + 1 < word.size() && word[i + 1] == '=') {
                    give_switch(out, *option, word.substr(i + 2));
                    return at;
                }
                give_switch(out, *option, "true");
                continue;
            }
            std::string rest = word.substr(i + 1);
            if (rest.starts_with('=')) rest.erase(0, 1);
            else if (rest.empty()) {
                if (++at >= words.size()) fail(str("flag needs an argument: ", word));
                rest = words[at];
            }
            give(out, *option, rest);
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
        const std::string fallback = *option.fallback ? str(" (default: ", option.fallback, ")") : "";
        std::printf("   %-*s  %s%s\n", int(width), left(option).c_str(), option.help, fallback.c_str());
    }
}

void print_help(const Program& program) {
    std::printf("NAME:\n   %s - %s\n\nUSAGE:\n   %s [global options] command [command options] [arguments...]\n\nCOMMANDS:\n",
                program.name, program.summary, program.name);
    size_t width = 0;
    for (const Command* command : program.commands)
        if (!command->hidden) width = std::max(width, std::strlen(command->name));
    for (const Command* command : program.commands)
        if (!command->hidden) std::printf("   %-*s  %s\n", int(width), command->name, command->summary);
    std::printf("\nGLOBAL OPTIONS:\n");
    print_options(program.globals);
    std::printf("   --help, -h  show this help\n   --version, -v  print the version\n");
}

void print_help(const Program& program, const Command& command) {
    std::printf("NAME:\n   %s %s - %s\n\nUSAGE:\n   %s %s %s%s\n", program.name, command.name, command.summary,
                program.name, command.name, command.options.empty() ? "" : "[command options] ", command.synopsis);
    if (command.options.empty()) return;
    std::printf("\nOPTIONS:\n");
    print_options(command.options);
}

// The command that the words from `at` on name ("image ls" before "image"); moves `at` behind it.
const Command* find_command(const Program& program, const std::vector<std::string>& words, size_t& at) {
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

bool asks_for_help(const Parser& parser, const std::vector<std::string>& words, size_t at) {
    if (at >= words.size()) return false;
    // Only the first word: later ones may be the container's own.
    return parser.wants_help(words[at]);
}

void check_count(const Program& program, const Command& command, const Arguments& args) {
    if (args.size() >= command.least && args.size() <= command.most) return;
    const char* bound = command.least == command.most ? "exactly" : args.size() < command.least ? "a minimum of" : "a maximum of";
    const size_t wanted = args.size() < command.least ? command.least : command.most;
    if (program.style == Style::docker)
        throw Error(quoted(str(program.name, " ", command.name)), " requires ",
                    command.least == command.most ? "exactly" : args.size() < command.least ? "at least" : "at most",
                    " ", wanted, " argument", wanted == 1 ? "" : "s", "\nUsage: ", program.name, " ", command.name, " ",
                    command.options.empty() ? "" : "[OPTIONS] ", command.synopsis,
                    "\nSee '", program.name, " ", command.name, " --help'")
            .exit_with(command.name == std::string_view("run") ? 125 : 1);
    std::printf("Incorrect Usage.\n\n");
    print_help(program, command);
    std::fflush(stdout);
    throw Error(program.name, ": ", quoted(command.name), " requires ", bound, " ", wanted, " argument(s)");
}

}  // namespace

int dispatch(const Program& program, int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const Parser global_parser{program.style, program.globals, false, true};
    if (words.empty() || asks_for_help(global_parser, words, 0) || words[0] == "help") {
        size_t at = 1;
        const Command* command = words.size() > 1 ? find_command(program, words, at) : nullptr;
        if (command) print_help(program, *command);
        else print_help(program);
        return 0;
    }
    Arguments globals;
    size_t at = global_parser.parse(words, 0, globals);
    if (at < words.size() && (words[at] == "--help" || words[at] == "-h")) return print_help(program), 0;
    if (at < words.size() && Parser::wants_version(words[at])) return program.print_version(), 0;
    if (at >= words.size()) return print_help(program), 0;
    const size_t first = at;
    const Command* command = find_command(program, words, at);
    if (!command) {
        if (program.style == Style::docker)
            throw Error("unknown command: ", program.name, " ", words[first], "\nRun '", program.name, " --help' for usage")
                .exit_with(1);
        throw Error("No help topic for '", words[first], "'").exit_with(3);
    }
    const Parser parser{program.style, command->options, command->interspersed};
    if (asks_for_help(parser, words, at)) {
        print_help(program, *command);
        return 0;
    }
    Arguments args;
    try {
        at = parser.parse(words, at, args);
    } catch (Error& e) {
        if (program.style == Style::docker) throw Error(e.what(), "\nSee '", program.name, " ", command->name, " --help'").exit_with(125);
        std::printf("Incorrect Usage: %s\n\n", e.what());
        print_help(program, *command);
        std::fflush(stdout);
        throw;
    }
    if (at < words.size() && words[at - 1] != "--" && parser.wants_help(words[at])) {  // behind options
        print_help(program, *command);
        return 0;
    }
    if (!command->interspersed)
        // The words behind the options are the command's, whatever they look like.
        for (; at < words.size(); ++at) args.add_word(words[at]);
    check_count(program, *command, args);
    if (program.prepare) program.prepare(globals);
    return command->run(globals, args);
}
