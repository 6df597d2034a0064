// Log lines in logrus's shape, text or JSON: callers of a runtime parse them.
#pragma once

#include <string>

enum class LogLevel { debug, info, warning, error };
enum class LogFormat { text, json };

struct LogSettings {
    int fd = 2;  // where records go
    LogFormat format = LogFormat::text;
    LogLevel level = LogLevel::info;  // what is less important than this is dropped
    bool plain = false;               // people read it: "warning: …", as keg prints
    bool is_read = false;             // who started us reads it, and shows what went wrong
};

void set_log(const LogSettings& settings);  // of the whole process
const LogSettings& log_settings();

void log_debug(const std::string& message) noexcept;
void log_info(const std::string& message) noexcept;
void log_warning(const std::string& message) noexcept;
void log_error(const std::string& message) noexcept;

// Nanoseconds since 1970 as RFC 3339 in UTC, with nine digits or, as Go's RFC3339Nano, without
// trailing zeros; without an argument the time is now.
std::string rfc3339(long long nanoseconds, bool trim_zeros = true);
std::string rfc3339_now();
// The other way round; throws Error if the text is not RFC 3339.
long long parse_rfc3339(std::string_view text);
