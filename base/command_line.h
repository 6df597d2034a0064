// Commands and their options as tables; help, errors and dispatch are made from them. The rules of
// Go's flag packages, which runc's and Docker's users type: "--name value", "--name=value",
// "--switch=false", "-n value", "-nvalue", "-it" for two switches; what follows "--" is data.
// Which option a name is, and whether it may stand there as it does, says Boost.Program_options,
// from the same tables.
//
// What is hard: runc's and Docker's packages differ in the small. runc takes one dash for two, and
// where options may follow the words it takes only those it knows for options ("kill web -9"); it
// reads the global options, opens the log they name, and then looks at the rest, so that its
// complaints are in the log.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

enum class Value {
    text,
    integer,
    integers,
    duration
};  // what an option's value must be; integers: one of several

struct Option {
    const char* names;            // "detach,d": one long name, then short ones
    const char* value = nullptr;  // what it takes, for the help ("DIR"); nullptr: a switch
    const char* help = "";
    const char* fallback = "";  // its default, shown in the help and given by Arguments::get
    bool hidden = false;        // understood, not in the help
    Value kind = Value::text;
    // Of Value::integer: what is beyond is refused with both named. Every number has a range where
    // it is declared, so that no command computes with one that it was not made for.
    int64_t least = std::numeric_limits<int64_t>::min(), most = std::numeric_limits<int64_t>::max();
};

// What was typed, by the options' long names.
class Arguments {
public:
    bool has(std::string_view name) const;         // given at all
    bool flag(std::string_view name) const;        // a switch that is on
    std::string get(std::string_view name) const;  // the last one given, or the fallback
    std::optional<std::string> value(std::string_view name) const;  // the last one given
    std::vector<std::string> all(std::string_view name) const;      // each one given, in order
    std::optional<int64_t>
    number(std::string_view name) const;  // of a Value::integer, within its range

    const std::vector<std::string>& words() const { return words_; }  // the positional ones
    const std::string& operator[](size_t i) const { return words_.at(i); }
    size_t size() const { return words_.size(); }
    void add_word(std::string word) { words_.push_back(std::move(word)); }

private:
    friend struct Parser;
    std::map<std::string, std::vector<std::string>, std::less<>> given_;
    std::map<std::string, std::string, std::less<>> fallbacks_;
    std::vector<std::string> words_;
};

struct Command {
    const char* name;      // "exec"; a second word makes a sub-command: "image ls"
    const char* synopsis;  // "<container-id> [signal]"
    const char* summary;
    std::span<const Option> options = {};
    size_t least = 0;  // positional words
    size_t most = size_t(-1);
    bool interspersed = false;  // options may follow positional words (docker rm web -f)
    int (*run)(const Arguments& globals, const Arguments& args) = nullptr;
    bool hidden = false;
};

enum class Style { runc, docker };  // the words of usage errors; runc also takes "-long"

struct Program {
    const char* name;
    const char* summary;
    Style style;
    std::span<const Option> globals;
    std::span<const Command* const> commands;
    void (*print_version)();  // for --version, -v
    void (*prepare)(const Arguments& globals) =
        nullptr;  // before the command is looked at: logging
};

// Finds the command and runs it. Gives its exit code; what is wrong with the words is thrown as an
// Error (exit_code 1, or Docker's 125) after the usage was printed where runc does that.
int dispatch(const Program& program, int argc, char** argv);
