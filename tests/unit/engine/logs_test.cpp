// Proves where output is cut into records and what counts as a time. A duration is one before now,
// so its result is only right within a minute.
#include "engine/logs.h"

#include <chrono>

#include "base/file.h"
#include "base/json.h"
#include "tests/unit/catch.h"
#include "tests/unit/scratch.h"

namespace {

std::vector<std::string> pieces_of(const std::string& path) {
    std::vector<std::string> out;
    for (const std::string& line : split(read_file(path), '\n'))
        if (!line.empty()) out.push_back(json::parse(line).value("log", ""));
    return out;
}

}  // namespace

TEST_CASE(
    "a line that is longer than 16 KiB is kept in pieces of that, and only the last has its end") {
    const Scratch scratch;
    LogWriter log(scratch.path + "/log");
    log.write(false, "short\n" + std::string(40'000, 'x') + "\nrest");
    CHECK(pieces_of(scratch.path + "/log") ==
          std::vector<std::string>{"short\n", std::string(16384, 'x'), std::string(16384, 'x'),
                                   std::string(40'000 - 2 * 16384, 'x') + "\n"});
    log.flush();
    CHECK(pieces_of(scratch.path + "/log").back() == "rest");
}

TEST_CASE("a time is a date, seconds since 1970 or a duration before now, and no number is too "
          "large for it") {
    CHECK(parse_when("0") == 0);
    CHECK(parse_when("1700000000.5") == 1'700'000'000'500'000'000);
    CHECK(parse_when("2001-02-03") == 981'158'400'000'000'000);
    const long long now =
        std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
    CHECK(std::abs(parse_when("1h30m") - (now - 5'400'000'000'000)) < 60'000'000'000);
    CHECK(parse_when("2000000h") == 1);  // before 1970
    CHECK_THAT(error_of([] { parse_when("99999999999999999999"); }),
               ContainsSubstring("value out of range"));
    for (const char* word : {"soon", "10 m", "5m x", "-", "9999999999h9999999999h"}) {
        CAPTURE(word);
        CHECK_THAT(error_of([&] { parse_when(word); }), ContainsSubstring("since"));
    }
}
