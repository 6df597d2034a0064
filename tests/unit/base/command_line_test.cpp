// Proves that the two command lines are runc's and Docker's, in what they take and in the words
// with which they refuse; and that no line of words does anything but run a command or throw an
// Error.
#include "base/command_line.h"

#include <unistd.h>

#include <cstdio>

#include "base/duration.h"
#include "base/error.h"
#include "base/sys.h"
#include "tests/unit/catch.h"
#include "tests/unit/damage.h"

namespace {

// What the last command was given: its name, its options, its words.
std::string got;

int remember(const char* name, const Arguments& args) {
    got = name;
    for (const char* option : {"force", "bundle", "count", "every", "wait"})
        if (const auto value = args.value(option)) got += str(" ", option, "=", *value);
    for (const std::string& gid : args.all("gid")) got += " gid=" + gid;
    for (const std::string& word : args.words()) got += " " + word;
    return 0;
}

constexpr Option options[] = {
    {"force,f", nullptr, ""},
    {"bundle,b", "DIR", ""},
    {"count", "N", "", "", false, Value::integer},
    {"gid,g", "GID", "", "", false, Value::integers},
    {"every", "TIME", "", "", false, Value::duration},
    {"wait,w", "SECONDS", "", "", false, Value::integer, -1, 3600},
};
constexpr Option globals[] = {{"root", "DIR", ""}, {"debug", nullptr, ""}};
constexpr Command kill_command{
    .name = "kill",
    .synopsis = "",
    .summary = "",
    .options = options,
    .least = 1,
    .most = 2,
    .interspersed = true,
    .run = [](const Arguments&, const Arguments& args) { return remember("kill", args); }};
constexpr Command exec_command{
    .name = "exec",
    .synopsis = "",
    .summary = "",
    .options = options,
    .least = 1,
    .run = [](const Arguments&, const Arguments& args) { return remember("exec", args); }};
constexpr const Command* commands[] = {&kill_command, &exec_command};

// Usage and help are nothing for the report of the tests.
class Silence {
public:
    Silence() { std::fflush(stdout), ::dup2(sys::open("/dev/null", O_WRONLY).get(), 1); }
    ~Silence() { std::fflush(stdout), ::dup2(stdout_.get(), 1); }

private:
    UniqueFd stdout_{::dup(1)};
};

// What the command got, or the error.
std::string run(Style style, std::vector<const char*> words) {
    const Program program{.name = "rt",
                          .summary = "",
                          .style = style,
                          .globals = globals,
                          .commands = commands,
                          .print_version = [] { got = "version"; }};
    words.insert(words.begin(), "rt");
    got = "help";
    const Silence silence;
    try {
        dispatch(program, int(words.size()), const_cast<char**>(words.data()));
    } catch (const Error& e) {
        return std::string(e.what()).substr(0, std::string_view(e.what()).find('\n'));
    }
    return got;
}

}  // namespace

TEST_CASE(
    "runc's command line: Go's flag package, and options behind the words if they are known") {
    struct {
        std::vector<const char*> words;
        const char* want;
    } cases[] = {
        {{"kill", "c", "9"}, "kill c 9"},
        {{"kill", "-force", "c"}, "kill force=true c"},
        {{"kill", "--f", "c", "--bundle=x"}, "kill force=true bundle=x c"},
        {{"kill", "c", "-9"}, "kill c -9"},
        {{"kill", "c", "-fb"}, "kill c -fb"},
        {{"kill", "c", "--", "--force"}, "kill c --force"},
        {{"kill", "-f=false", "-b", "", "c"}, "kill force=false bundle= c"},
        {{"kill", "-fb", "x", "c"}, "kill force=true bundle=x c"},  // crun's
        {{"kill", "-b", "-f", "c"}, "kill bundle=-f c"},
        {{"kill", "--bundle", "force", "c"}, "kill bundle=force c"},
        {{"kill", "-b", "--", "-f", "c"}, "kill force=true bundle=-- c"},
        {{"kill", "--bundle", "--help", "c"}, "kill bundle=--help c"},
        {{"kill", "--bundle=", "-b==x", "c"}, "kill bundle==x c"},
        {{"kill", "-f", "true", "c"}, "kill force=true true c"},
        {{"exec", "-f", "c", "-f", "--help"}, "exec force=true c -f --help"},
        {{"exec", "--", "c", "--", "-x"}, "exec c -- -x"},
        {{"kill", "c", "-help"}, "help"},
        {{"kill", "--h"}, "help"},
        {{"help"}, "help"},
        {{"h", "kill"}, "help"},
        {{"--debug", "help", "kill"}, "help"},
        {{""}, "help"},
        {{"-version"}, "version"},
        {{"--root", "x", "--v"}, "version"},
        {{"help", "moon"}, "No help topic for 'moon'"},
        {{"moon"}, "No help topic for 'moon'"},
        {{"kill", "--nope", "c"}, "flag provided but not defined: -nope"},
        {{"kill", "-nope", "c"}, "flag provided but not defined: -nope"},
        {{"kill", "---f"}, "bad flag syntax: ---f"},
        {{"kill", "--=x"}, "bad flag syntax: --=x"},
        {{"kill", "-b"}, "flag needs an argument: -b"},
        {{"kill", "-fb"}, "flag needs an argument: -fb"},
        {{"kill", "--forc", "c"}, "flag provided but not defined: -forc"},
        {{"kill", "-f=maybe", "--nope"}, "invalid boolean value \"maybe\" for -f: parse error"},
        {{"kill", "--nope", "-f=maybe"}, "flag provided but not defined: -nope"},
        {{"kill", "-f=maybe", "c"}, "invalid boolean value \"maybe\" for -f: parse error"},
    };
    for (const auto& [words, want] : cases) {
        CAPTURE(words);
        CHECK(run(Style::runc, words) == want);
    }
}

TEST_CASE("runc's command line: values have types, and the words of Go's strconv for what is not "
          "of them") {
    struct {
        std::vector<const char*> words;
        const char* want;
    } cases[] = {
        {{"kill", "--count", "0x1f", "c"}, "kill count=31 c"},
        {{"kill", "--count=-010", "c"}, "kill count=-8 c"},
        {{"kill", "-g", "010", "-g", "7", "c"}, "kill gid=10 gid=7 c"},
        {{"kill", "--every", "1m30s", "c"}, "kill every=1m30s c"},
        {{"kill", "--count", "many", "c"}, "invalid value \"many\" for flag -count: parse error"},
        {{"kill", "--count=", "c"}, "invalid value \"\" for flag -count: parse error"},
        {{"kill", "--count", "9223372036854775808", "c"},
         "invalid value \"9223372036854775808\" for flag -count: value out of range"},
        {{"kill", "-g", "x", "c"},
         "invalid value \"x\" for flag -g: strconv.ParseInt: parsing \"x\": invalid syntax"},
        {{"kill", "--every", "soon", "c"}, "invalid value \"soon\" for flag -every: parse error"},
    };
    for (const auto& [words, want] : cases) {
        CAPTURE(words);
        CHECK(run(Style::runc, words) == want);
    }
}

TEST_CASE("Docker's command line: one dash for short options, two for long ones") {
    struct {
        std::vector<const char*> words;
        const char* want;
    } cases[] = {
        {{"kill", "c", "-fbx"}, "kill force=true bundle=x c"},
        {{"kill", "--force=false", "c"}, "kill force=false c"},
        {{"--help", "kill"}, "help"},
        {{"kill", "-h"}, "help"},
        {{"kill", "c", "--nope"}, "unknown flag: --nope"},
        {{"kill", "c", "-x"}, "unknown shorthand flag: 'x' in -x"},
        {{"kill", "--f", "c"}, "unknown flag: --f"},
        {{"kill", "---f", "c"}, "unknown flag: ---f"},
        {{"kill", "-=x", "c"}, "unknown shorthand flag: '=' in -=x"},
        {{"kill", "-f-", "c"}, "unknown shorthand flag: '-' in -f-"},
        {{"kill", "--Force", "c"}, "unknown flag: --Force"},
        {{"kill", "-fb=x", "-f=0", "c"}, "kill force=false bundle=x c"},
        {{"kill", "c", "-fw"}, "flag needs an argument: -fw"},
        {{"kill", "-w", "long", "--nope"},
         "invalid argument \"long\" for \"-w, --wait\" flag: strconv.ParseInt: parsing \"long\": "
         "invalid syntax"},
        {{"moon"}, "unknown command: rt moon"},
    };
    for (const auto& [words, want] : cases) {
        CAPTURE(words);
        CHECK(run(Style::docker, words) == want);
    }
}

TEST_CASE("durations are Go's") {
    using namespace std::chrono_literals;
    CHECK(parse_duration("1h2m3s4ms") == 1h + 2min + 3s + 4ms);
    CHECK(parse_duration("1.5s") == 1500ms);
    CHECK(parse_duration("-2us") == -2us);
    CHECK(parse_duration("0") == 0s);
    for (const char* wrong : {"", "5", "s", "1x", "1..5s", "-", "1e3s", "10000000h"}) {
        CAPTURE(wrong);
        CHECK(!parse_duration(wrong));
    }
}

TEST_CASE("a line of any words is done or refused") {
    static constexpr std::string_view words[] = {
        "kill",        "exec",       "help",
        "h",           "--help",     "-h",
        "--",          "-",          "",
        "=",           "--=",        "-=x",
        "-f",          "-fb",        "-bfx",
        "-b",          "--bundle",   "--bundle=",
        "-bundle=x",   "--force=no", "--force=",
        "--count=1e3", "--count",    "-g=1,2",
        "-g",          "--every=5m", "--every=99999999999999999999h",
        "--root",      "--root=x",   "--debug",
        "--version",   "x",          "\xff",
        "--nonsense",  "-ffffffff",  "---force"};
    each_damaged(
        3000,
        [&](Damage& damage) {
            std::string line = damage.below(2) ? "runc" : "docker";
            for (size_t count = damage.below(8); count > 0; --count)
                line += " " + std::string(damage.one_of(words));
            return line;
        },
        [](const std::string& line) {
            const std::vector<std::string> parts = split(line, ' ');
            std::vector<const char*> given;
            for (const std::string& part : std::span(parts).subspan(1))
                given.push_back(part.c_str());
            run(parts[0] == "runc" ? Style::runc : Style::docker, given);
        });
}

TEST_CASE("a number has its option's range, and Docker's words for what is not in it") {
    struct {
        std::vector<const char*> words;
        const char* want;
    } cases[] = {
        {{"kill", "-w", "-1", "c"}, "kill wait=-1 c"},
        {{"kill", "--wait=3600", "c"}, "kill wait=3600 c"},
        {{"kill", "-w", "3601", "c"},
         "invalid argument \"3601\" for \"-w, --wait\" flag: value out of range: it must be "
         "between -1 and 3600"},
        {{"kill", "-w", "4294967297", "c"},
         "invalid argument \"4294967297\" for \"-w, --wait\" flag: value out of range: it must be "
         "between -1 and 3600"},
        {{"kill", "-w", "99999999999999999999", "c"},
         "invalid argument \"99999999999999999999\" for \"-w, --wait\" flag: strconv.ParseInt: "
         "parsing \"99999999999999999999\": value out of range"},
        {{"kill", "--wait", "long", "c"},
         "invalid argument \"long\" for \"-w, --wait\" flag: strconv.ParseInt: parsing \"long\": "
         "invalid syntax"},
        {{"kill", "--wait", "", "c"},
         "invalid argument \"\" for \"-w, --wait\" flag: strconv.ParseInt: parsing \"\": invalid "
         "syntax"},
    };
    for (const auto& [words, want] : cases) {
        CAPTURE(words);
        CHECK(run(Style::docker, words) == want);
    }
    CHECK(run(Style::runc, {"kill", "-w", "3601", "c"}) ==
          "invalid value \"3601\" for flag -w: value out of range: it must be between -1 and 3600");
}
