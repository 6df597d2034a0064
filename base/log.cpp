// A line must get out from everywhere: from a destructor, from beside other processes that write to
// the same file, from a process whose "/" is a container's. So nothing here throws: a record is one
// write, so that those of several processes do not mix in one file; what cannot be written is
// dropped; and the time is computed here, because gmtime would read /etc/localtime first, whosever
// that is.
#include "base/log.h"

#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "base/json.h"

namespace {

LogSettings settings;

const char* name(LogLevel level) {
    switch (level) {
        case LogLevel::debug: return "debug";
        case LogLevel::info: return "info";
        case LogLevel::warning: return "warning";
        case LogLevel::error: return "error";
    }
    return "error";
}

void write_record(LogLevel level, const std::string& message) noexcept try {
    if (level < settings.level) return;
    std::string line;
    if (settings.plain) {
        line = str(level == LogLevel::warning ? "warning: "
                   : level == LogLevel::error ? "keg: "
                                              : "",
                   visible(message, "\n"), "\n");
    } else {
        const std::string now = rfc3339(1'000'000'000LL * ::time(nullptr));
        if (settings.format == LogFormat::json)
            line = json::dump({{"level", name(level)}, {"msg", message}, {"time", now}}) + "\n";
        else
            line = str("time=\"", now, "\" level=", name(level), " msg=", quoted(message), "\n");
    }
    // One write, so that records of several processes do not mix in one file.
    if (::write(settings.fd, line.data(), line.size()) < 0) return;
} catch (...) {
}

}  // namespace

void set_log(const LogSettings& wanted) { settings = wanted; }
const LogSettings& log_settings() { return settings; }

void log_debug(const std::string& message) noexcept { write_record(LogLevel::debug, message); }
void log_info(const std::string& message) noexcept { write_record(LogLevel::info, message); }
void log_warning(const std::string& message) noexcept { write_record(LogLevel::warning, message); }
void log_error(const std::string& message) noexcept { write_record(LogLevel::error, message); }

std::string errno_text(int code) {
    std::string text = ::strerror(code);
    // "RPC …" and the like keep their capitals.
    if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && !(text[1] >= 'A' && text[1] <= 'Z'))
        text[0] = char(text[0] - 'A' + 'a');
    return text;
}

std::string rfc3339(long long nanoseconds, bool trim_zeros) {
    long long seconds = nanoseconds / 1'000'000'000, rest = nanoseconds % 1'000'000'000;
    if (rest < 0) rest += 1'000'000'000, --seconds;
    // gmtime would read /etc/localtime first.
    const std::chrono::sys_seconds when{std::chrono::seconds(seconds)};
    const auto midnight = std::chrono::floor<std::chrono::days>(when);
    const std::chrono::year_month_day day(midnight);
    const std::chrono::hh_mm_ss clock(when - midnight);
    char date[64], fraction[16];
    std::snprintf(date, sizeof date, "%04d-%02u-%02uT%02d:%02d:%02d", int(day.year()),
                  unsigned(day.month()), unsigned(day.day()), int(clock.hours().count()),
                  int(clock.minutes().count()), int(clock.seconds().count()));
    std::snprintf(fraction, sizeof fraction, ".%09lld", rest);
    std::string tail = fraction;
    if (trim_zeros) {
        while (tail.back() == '0') tail.pop_back();
        if (tail == ".") tail.clear();
    }
    return date + tail + "Z";
}

std::string rfc3339_now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return rfc3339(1'000'000'000LL * now.tv_sec + now.tv_nsec);
}

// strptime takes 31 days of any month.
static bool is_date(const tm& parts) {
    return std::chrono::year_month_day(std::chrono::year(parts.tm_year + 1900),
                                       std::chrono::month(unsigned(parts.tm_mon + 1)),
                                       std::chrono::day(unsigned(parts.tm_mday)))
        .ok();
}

long long parse_rfc3339(std::string_view text) {
    tm parts{};
    const std::string copy(text);
    const char* rest = ::strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
    if (!rest || !is_date(parts)) throw Error("not an RFC 3339 time: ", quoted(text));
    long long nanoseconds = 0;
    if (*rest == '.') {
        long long unit = 100'000'000;
        for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10)
            nanoseconds += unit * (*rest - '0');
    }
    long long offset = 0;
    const std::string_view zone = rest;
    if (zone != "Z" && zone != "z") {
        const auto hours = zone.size() == 6 ? parse_number<int>(zone.substr(1, 2)) : std::nullopt;
        const auto minutes = zone.size() == 6 ? parse_number<int>(zone.substr(4, 2)) : std::nullopt;
        if (!hours || !minutes || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':')
            throw Error("not an RFC 3339 time: ", quoted(text));
        offset = (*hours * 60LL + *minutes) * 60 * (zone[0] == '-' ? -1 : 1);
    }
    return (::timegm(&parts) - offset) * 1'000'000'000LL + nanoseconds;
}
