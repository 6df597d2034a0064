// The time of a line is that of its first byte's arrival; a line of more than 16 KiB becomes
// several records, and only the last ends in a newline. Whoever reads meanwhile may see half a
// record at the end of the file: it waits for the rest.
#include "engine/logs.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <deque>

#include "base/duration.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sys.h"
#include "engine/settings.h"

static constexpr size_t longest_piece = 16384;

// Length of the UTF-8 character that begins here; 0: none does.
static size_t character(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    const size_t length = first < 0x80   ? 1
                          : first < 0xc2 ? 0
                          : first < 0xe0 ? 2
                          : first < 0xf0 ? 3
                          : first < 0xf5 ? 4
                                         : 0;
    if (length == 0 || length > text.size()) return 0;
    for (size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xc0) != 0x80) return 0;
    if (length == 3 && ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) >= 0xa0)))
        return 0;
    if (length == 4 && ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) >= 0x90)))
        return 0;
    return length;
}

std::string log_record(std::string_view text, std::string_view stream, std::string_view time) {
    static constexpr char hex[] = "0123456789abcdef";
    std::string out = "{\"log\":\"";
    out.reserve(text.size() + 80);
    while (!text.empty()) {
        const char c = text[0];
        const size_t length = character(text);
        if (length == 0)
            out += "\\ufffd";
        else if (c == '"' || c == '\\')
            out += {'\\', c};
        else if (c == '\n')
            out += "\\n";
        else if (c == '\r')
            out += "\\r";
        else if (c == '\t')
            out += "\\t";
        else if (length == 1 &&
                 (static_cast<unsigned char>(c) < 0x20 || c == '<' || c == '>' || c == '&'))
            out += str("\\u00", hex[(c >> 4) & 15], hex[c & 15]);
        else if (text.starts_with("\xe2\x80\xa8") || text.starts_with("\xe2\x80\xa9"))
            out += c, out.pop_back(), out += text[2] == '\xa8' ? "\\u2028" : "\\u2029";
        else
            out += text.substr(0, length);
        text.remove_prefix(std::max<size_t>(length, 1));
    }
    return out.append("\",\"stream\":\"")
        .append(stream)
        .append("\",\"time\":\"")
        .append(time)
        .append("\"}\n");
}

LogWriter::LogWriter(const std::string& path)
    : fd_(sys::open(path, O_WRONLY | O_CREAT | O_APPEND, 0640)) {}

void LogWriter::append(Stream& stream, const char* name, std::string_view text, std::string& out) {
    if (stream.piece_time.empty()) stream.piece_time = rfc3339_now();
    out += log_record(text, name, stream.piece_time);
    if (text.ends_with('\n')) stream.piece_time.clear();
}

void LogWriter::write(bool is_error, std::string_view data) {
    Stream& stream = streams_[is_error];
    const char* name = is_error ? "stderr" : "stdout";
    std::string out;
    while (!data.empty()) {
        const size_t end = data.find('\n');
        const size_t wanted = end == std::string_view::npos ? data.size() : end + 1;
        const size_t taken = std::min(wanted, longest_piece - stream.pending.size());
        stream.pending += data.substr(0, taken);
        data.remove_prefix(taken);
        if (!stream.pending.ends_with('\n') && stream.pending.size() < longest_piece) break;
        append(stream, name, stream.pending, out);
        stream.pending.clear();
    }
    if (!stream.pending.empty() && stream.piece_time.empty()) stream.piece_time = rfc3339_now();
    if (!out.empty()) write_whole(out);
}

// All of it or nothing: half a record, on a full disk, would spoil the next one.
void LogWriter::write_whole(const std::string& records) {
    const off_t before = ::lseek(fd_.get(), 0, SEEK_END);
    try {
        sys::write_all(fd_.get(), records);
    } catch (...) {
        (void)!::ftruncate(fd_.get(), before);
        throw;
    }
}

void LogWriter::flush() {
    for (int i = 0; i < 2; ++i) {
        if (streams_[i].pending.empty()) continue;
        std::string out;
        append(streams_[i], i ? "stderr" : "stdout", streams_[i].pending, out);
        streams_[i].pending.clear();
        write_whole(out);
    }
}

namespace {

class Printer {
public:
    explicit Printer(const LogQuery& query) : query_(query) {}

    // Prints a record if it is asked for; false: it is later than `until`, and so is all that
    // follows.
    bool print(std::string_view line) {
        std::string text, stream;
        long long when = 0;
        try {
            const json::Value record = json::parse(line);
            text = record.value("log", ""), stream = record.value("stream", "stdout");
            when = parse_rfc3339(record.value("time", ""));
        } catch (
            const std::exception&) {  // what a crash or a full disk left; the rest is worth reading
            if (!std::exchange(damage_told_, true))
                log_warning("a part of the log is damaged and left out");
            return true;
        }
        if (query_.until && when > query_.until) return false;
        if (query_.since && when < query_.since) return true;
        const bool is_error = stream == "stderr" && !query_.terminal;
        const std::string stamp =
            query_.timestamps && at_line_start_[is_error] ? rfc3339(when, false) + " " : "";
        at_line_start_[is_error] = text.ends_with('\n');
        sys::write_all(is_error ? 2 : 1, stamp + text);
        return true;
    }

private:
    const LogQuery& query_;
    bool at_line_start_[2] = {true, true}, damage_told_ = false;
};

// Who copies the log and truncates it (logrotate's copytruncate) makes it begin anew.
bool was_truncated(const UniqueFd& file) {
    if (sys::fstat(file.get()).st_size >= ::lseek(file.get(), 0, SEEK_CUR)) return false;
    ::lseek(file.get(), 0, SEEK_SET);
    return true;
}

}  // namespace

void print_log(const std::string& path, const LogQuery& query, const std::function<bool()>& ended) {
    auto opened = sys::try_open(path, O_RDONLY);
    if (!opened && opened.error() == ENOENT && !query.follow) return;
    const UniqueFd file = opened ? std::move(*opened) : sys::open(path, O_RDONLY | O_CREAT, 0640);
    Printer printer(query);
    std::string buffer, chunk(65536, '\0');
    std::deque<std::string> last;  // of the first pass, if only the tail is wanted
    bool first_pass = true;
    const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (query.follow)
        ::inotify_add_watch(watch.get(), path.c_str(), IN_MODIFY | IN_DELETE_SELF | IN_ATTRIB);
    for (;;) {
        const bool over =
            query.follow ? ended() : true;  // asked before reading: nothing can be missed
        if (was_truncated(file)) buffer.clear();
        for (ssize_t n; (n = ::read(file.get(), chunk.data(), chunk.size())) > 0;) {
            buffer.append(chunk, 0, size_t(n));
            size_t start = 0;
            for (size_t end; (end = buffer.find('\n', start)) != std::string::npos;
                 start = end + 1) {
                std::string line = buffer.substr(start, end - start);
                if (!first_pass || query.tail < 0) {
                    if (!printer.print(line)) return;
                    continue;
                }
                last.push_back(std::move(line));
                if (last.size() > size_t(query.tail)) last.pop_front();
            }
            buffer.erase(0, start);
        }
        if (first_pass)
            for (const std::string& line : last)
                if (!printer.print(line)) return;
        first_pass = false;
        if (over) return;
        pollfd waiting{watch.get(), POLLIN, 0};
        ::poll(&waiting, 1, 200);  // the end of a container is not an event of this file
        while (::read(watch.get(), chunk.data(), chunk.size()) > 0) {
        }
    }
}

long long parse_when(const std::string& text) {
    if (text.empty() || text == "0") return 0;
    // Nanoseconds since 1970 in 64 bits end in 2262.
    constexpr double last_second = 9.2e9;
    if (const auto seconds = parse_decimal(text)) {
        if (*seconds > last_second)
            throw Error("invalid value for \"since\" or \"until\": ", quoted(text),
                        ": value out of range");
        return (long long)(*seconds * 1e9);
    }
    if (const auto ago = parse_duration(text)) {
        const std::chrono::nanoseconds now = std::chrono::system_clock::now().time_since_epoch();
        return std::max<long long>((now - std::min(*ago, now)).count(),
                                   1);  // before 1970 there is nothing
    }
    std::string when = text;
    if (when.size() == 10) when += "T00:00:00";
    if (when.find('T') != std::string::npos && !when.ends_with('Z') &&
        when.find_first_of("+-", 11) == std::string::npos)
        when += "Z";
    return context(str("invalid value for \"since\" or \"until\": ", quoted(text)),
                   [&] { return parse_rfc3339(when); });
}
