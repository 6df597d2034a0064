// What listings look like: Docker's aligned tables, --format with templates or json, --filter, and
// how it words sizes and times.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/command_line.h"
#include "base/json.h"

// What a listing can show: the name a template calls it by, and its column's header.
struct Column {
    const char* name;
    const char* header;
};

// Prints the rows (objects of texts, by the columns' names) to standard output. `format` is what
// the user gave: "" or "table" prints `fallback`; "table TEMPLATE" a table with headers; "json" an
// object a line; else a template a line.
void print_listing(const std::string& format, const std::string& fallback,
                   std::span<const Column> columns, const std::vector<json::Value>& rows);
// The same of many rows, of which each is used before the next is asked for; null: no more.
void print_listing(const std::string& format, const std::string& fallback,
                   std::span<const Column> columns,
                   const std::function<const json::Value*()>& next);

// --filter key=value …: by key. Throws "invalid filter 'x'" for a key that is not among `known`.
using Filters = std::map<std::string, std::vector<std::string>>;
Filters parse_filters(const std::vector<std::string>& typed, std::span<const char* const> known);

// Is there, of each key, a value that holds? Of labels all must: they say different things.
bool all_hold(const Filters& filters,
              const std::function<bool(const std::string& key, const std::string& value)>& holds);
// "NAME", or "NAME=VALUE".
bool has_label(const std::map<std::string, std::string>& labels, const std::string& wanted);

// Characters, of which some are several bytes.
size_t width_of(std::string_view text);
// Its beginning and "…", if it has more characters than that.
std::string shortened(const std::string& text, size_t most);

// "3 minutes ago" for an RFC 3339 time; "N/A" for none, or for Go's zero time.
std::string time_since(const std::string& rfc3339_time);
// "2026-11-24 10:04:05 +0000 UTC", as Go prints a time; "N/A" likewise.
std::string time_shown(const std::string& rfc3339_time);
