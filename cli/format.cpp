// What is hard is to be Docker's to the blank. A column is as wide as its widest cell, so all rows
// are rendered before the first is printed, as lines with tabs in them. A row's keys are sorted for
// JSON and templates, as Go prints a map. And the words for a span of time are cut off at each
// unit, except hours, which are rounded: 90 minutes are "2 hours".
#include "cli/format.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "base/duration.h"
#include "base/log.h"
#include "cli/template.h"

namespace {

void each_cell(std::string_view line, const auto& visit) {
    for (size_t i = 0;; ++i) {
        const size_t tab = line.find('\t');
        visit(i, line.substr(0, tab), tab == std::string_view::npos);
        if (tab == std::string_view::npos) return;
        line.remove_prefix(tab + 1);
    }
}

// Columns of text/tabwriter with Docker's numbers: at least 10 wide, 3 blanks between; the last
// cell of a line is left as it is.
std::string aligned(const std::vector<std::string>& lines) {
    std::vector<size_t> widths;
    for (const std::string& line : lines)
        each_cell(line, [&](size_t i, std::string_view cell, bool is_last) {
            if (is_last) return;
            if (widths.size() <= i) widths.push_back(10);
            widths[i] = std::max(widths[i], width_of(cell) + 3);
        });
    std::string out;
    for (const std::string& line : lines) {
        each_cell(line, [&](size_t i, std::string_view cell, bool is_last) {
            out += cell;
            if (!is_last) out.append(widths[i] - width_of(cell), ' ');
        });
        out += '\n';
    }
    return out;
}

json::Value sorted_by_key(const json::Value& row) {
    std::map<std::string, json::Value> fields;
    for (const auto& [key, value] : row.items()) fields[key] = value;
    json::Value out = json::Value::object();
    for (const auto& [key, value] : fields) out[key] = value;
    return out;
}

void put(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

using Rows = std::function<const json::Value*()>;

void print_table(const std::string& text, std::span<const Column> columns, const Rows& next) {
    const Template layout(text);
    json::Value headers = json::Value::object();
    for (const Column& column : columns) headers[column.name] = column.header;
    std::vector<std::string> lines{layout.render_headers(headers)};
    while (const json::Value* row = next()) lines.push_back(layout.render_cells(*row));
    put(aligned(lines));
}

// Go's zero time stands for "not known", and so does an absent one.
bool is_known(const std::string& time) { return !time.empty() && !time.starts_with("0001-01-01"); }

}  // namespace

void print_listing(const std::string& format, const std::string& fallback,
                   std::span<const Column> columns, const std::vector<json::Value>& rows) {
    auto row = rows.begin();
    print_listing(format, fallback, columns, [&] { return row == rows.end() ? nullptr : &*row++; });
}

void print_listing(const std::string& format, const std::string& fallback,
                   std::span<const Column> columns, const Rows& next) {
    if (format.empty() || format == "table") return print_table(fallback, columns, next);
    if (format.starts_with("table ") || format.starts_with("table\t"))
        return print_table(format.substr(6), columns, next);
    if (format == "json") {
        while (const json::Value* row = next()) put(json::dump(sorted_by_key(*row)) + "\n");
        return;
    }
    const Template layout(format);
    while (const json::Value* row = next()) put(layout.render(sorted_by_key(*row)) + "\n");
}

Filters parse_filters(const std::vector<std::string>& typed, std::span<const char* const> known) {
    Filters out;
    for (const std::string& filter : typed) {
        const size_t equals = filter.find('=');
        if (equals == std::string::npos)
            throw Error("invalid argument ", quoted(filter),
                        " for \"-f, --filter\" flag: bad format of filter (expected name=value)");
        const std::string key = lower(std::string(trim(filter.substr(0, equals))));
        if (std::ranges::none_of(known, [&](const char* name) { return key == name; }))
            throw Error("invalid filter '", key, "'");
        out[key].emplace_back(trim(filter.substr(equals + 1)));
    }
    return out;
}

bool all_hold(const Filters& filters,
              const std::function<bool(const std::string& key, const std::string& value)>& holds) {
    return std::ranges::all_of(filters, [&](const auto& filter) {
        const auto one = [&](const std::string& value) { return holds(filter.first, value); };
        return filter.first == "label" ? std::ranges::all_of(filter.second, one)
                                       : std::ranges::any_of(filter.second, one);
    });
}

bool has_label(const std::map<std::string, std::string>& labels, const std::string& wanted) {
    const size_t equals = wanted.find('=');
    const auto found = labels.find(wanted.substr(0, equals));
    return found != labels.end() &&
           (equals == std::string::npos || found->second == wanted.substr(equals + 1));
}

size_t width_of(std::string_view text) {
    return size_t(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string shortened(const std::string& text, size_t most) {
    if (width_of(text) <= most) return text;
    size_t end = 0;
    for (size_t characters = 0; characters < most; ++end) characters += (text[end] & 0xc0) != 0x80;
    return text.substr(0, end - 1) + "…";
}

std::string time_since(const std::string& time) {
    if (!is_known(time)) return "N/A";
    const int64_t then = parse_rfc3339(time) / 1'000'000'000;
    return human_duration(std::max<int64_t>(0, int64_t(std::time(nullptr)) - then)) + " ago";
}

std::string time_shown(const std::string& time) {
    if (!is_known(time)) return "N/A";
    const time_t seconds = time_t(parse_rfc3339(time) / 1'000'000'000);
    struct tm local{};
    ::localtime_r(&seconds, &local);
    char text[64];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z %Z", &local);
    return text;
}
