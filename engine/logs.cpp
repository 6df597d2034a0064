// The time of a line is that of its first byte's arrival; a line of more than 16 KiB becomes
// several records, and only the last ends in a newline. Whoever reads meanwhile may see half a
// record at the end of the file: it waits for the rest.
#include "engine/logs.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <deque>

#include "base/defer.h"
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

// Docker's "local" driver keeps five files of 20 MB by itself.
static ContainerLog with_defaults(ContainerLog log) {
    if (log.driver != "local") return log;
    for (const auto& [key, value] :
         {std::pair("max-size", "20m"), std::pair("max-file", "5"), std::pair("compress", "true")})
        log.options.emplace(key, value);
    return log;
}

LogWriter::LogWriter(const std::string& path, const ContainerLog& typed)
    : path_(path), fd_(sys::open(path, O_WRONLY | O_CREAT | O_APPEND, 0640)) {
    const ContainerLog log = with_defaults(typed);
    const auto option = [&](const char* key) {
        const auto it = log.options.find(key);
        return it == log.options.end() ? std::string() : it->second;
    };
    if (const std::string size = option("max-size"); !size.empty() && size != "-1")
        most_ = parse_bytes(size);
    files_ = parse_number<int>(option("max-file")).value_or(1);
    compress_ = option("compress") == "true";
}

LogWriter::~LogWriter() {
    if (compressing_) ::waitpid(compressing_, nullptr, 0);
}

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
        // Full in the middle of what came at once: the rest is for the next file.
        if (most_ && ::lseek(fd_.get(), 0, SEEK_END) + off_t(out.size()) >= most_)
            write_whole(std::exchange(out, {}));
    }
    if (!stream.pending.empty() && stream.piece_time.empty()) stream.piece_time = rfc3339_now();
    if (!out.empty()) write_whole(out);
}

// In a child, beside the container's output: the plain file goes when the other is whole.
[[noreturn]] static void compress_and_exit(const std::string& path) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const std::string aside = path + ".gz.part", whole = path + ".gz";
    const UniqueFd from(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const gzFile to = ::gzopen(aside.c_str(), "wb");
    if (!from || !to) ::_exit(1);
    static char buffer[65536];
    ssize_t n;
    while ((n = ::read(from.get(), buffer, sizeof buffer)) > 0)
        if (::gzwrite(to, buffer, unsigned(n)) != int(n)) ::_exit(1);
    if (n < 0 || ::gzclose(to) != Z_OK || ::rename(aside.c_str(), whole.c_str()) < 0) ::_exit(1);
    ::unlink(path.c_str());
    ::_exit(0);
}

// All of it or nothing: half a record, on a full disk, would spoil the next one.
void LogWriter::write_whole(const std::string& records) {
    if (most_ && ::lseek(fd_.get(), 0, SEEK_END) >= most_) rotate();
    const off_t before = ::lseek(fd_.get(), 0, SEEK_END);
    try {
        sys::write_all(fd_.get(), records);
    } catch (...) {
        (void)!::ftruncate(fd_.get(), before);
        throw;
    }
}

// Whoever follows has the old file open, and finds the new one by its name.
void LogWriter::rotate() {
    if (compressing_) ::waitpid(std::exchange(compressing_, 0), nullptr, 0);
    const auto name = [&](int number) { return str(path_, ".", number); };
    for (int number = files_ - 2; number >= 1; --number)
        for (const char* end : {"", ".gz"})
            ::rename((name(number) + end).c_str(), (name(number + 1) + end).c_str());
    for (const char* end : {"", ".gz"}) ::unlink((name(files_) + end).c_str());
    if (files_ == 1)
        sys::unlink(path_);
    else
        sys::rename(path_, name(1));
    fd_ = sys::open(path_, O_WRONLY | O_CREAT | O_APPEND, 0640);
    if (files_ == 1 || !compress_) return;
    compressing_ = ::fork();
    if (compressing_ == 0) compress_and_exit(name(1));
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

// Whether the file of that name is another by now: this one was full.
bool was_replaced(const UniqueFd& file, const std::string& path) {
    struct stat now{};
    return ::stat(path.c_str(), &now) == 0 && now.st_ino != sys::fstat(file.get()).st_ino;
}

// The files of a log that were full, the oldest first.
std::vector<std::string> full_files(const std::string& path) {
    std::vector<std::string> out;
    for (int number = 1;; ++number) {
        const std::string plain = str(path, ".", number), packed = plain + ".gz";
        if (!sys::exists(plain) && !sys::exists(packed)) break;
        out.insert(out.begin(), sys::exists(packed) ? packed : plain);
    }
    return out;
}

// Prints lines, or keeps the last ones until all files were read once.
class Lines {
public:
    Lines(const LogQuery& query, Printer& printer) : query_(query), printer_(printer) {}

    // False: nothing that follows is asked for.
    bool take(std::string_view data) {
        buffer_ += data;
        size_t start = 0;
        for (size_t end; (end = buffer_.find('\n', start)) != std::string::npos; start = end + 1)
            if (!take_line(buffer_.substr(start, end - start))) return false;
        buffer_.erase(0, start);
        return true;
    }
    bool end_first_pass() {
        for (const std::string& line : last_)
            if (!printer_.print(line)) return false;
        last_.clear(), first_pass_ = false;
        return true;
    }
    void begin_anew() { buffer_.clear(); }

private:
    bool take_line(std::string line) {
        if (!first_pass_ || query_.tail < 0) return printer_.print(line);
        last_.push_back(std::move(line));
        if (last_.size() > size_t(query_.tail)) last_.pop_front();
        return true;
    }
    const LogQuery& query_;
    Printer& printer_;
    std::string buffer_;
    std::deque<std::string> last_;  // of the first pass, if only the tail is wanted
    bool first_pass_ = true;
};

// One that goes meanwhile has said nothing.
bool print_full_file(const std::string& path, Lines& lines) {
    const gzFile file = ::gzopen(path.c_str(), "rbe");
    if (!file) return true;
    const Defer close([&] { ::gzclose(file); });
    std::string chunk(65536, '\0');
    for (int n; (n = ::gzread(file, chunk.data(), unsigned(chunk.size()))) > 0;)
        if (!lines.take(std::string_view(chunk).substr(0, size_t(n)))) return false;
    return true;
}

}  // namespace

void print_log(const std::string& path, const LogQuery& query, const std::function<bool()>& ended) {
    auto opened = sys::try_open(path, O_RDONLY);
    if (!opened && opened.error() == ENOENT && !query.follow) return;
    UniqueFd file = opened ? std::move(*opened) : sys::open(path, O_RDONLY | O_CREAT, 0640);
    Printer printer(query);
    Lines lines(query, printer);
    for (const std::string& full : full_files(path))
        if (!print_full_file(full, lines)) return;
    std::string chunk(65536, '\0');
    bool first_pass = true;
    const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    const auto watch_file = [&] {
        ::inotify_add_watch(watch.get(), path.c_str(),
                            IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB);
    };
    if (query.follow) watch_file();
    for (;;) {
        // Asked before reading: nothing can be missed.
        const bool over = query.follow ? ended() : true, full = was_replaced(file, path);
        if (was_truncated(file)) lines.begin_anew();
        for (ssize_t n; (n = ::read(file.get(), chunk.data(), chunk.size())) > 0;)
            if (!lines.take(std::string_view(chunk).substr(0, size_t(n)))) return;
        if (std::exchange(first_pass, false) && !lines.end_first_pass()) return;
        if (full) {
            file = sys::open(path, O_RDONLY);
            watch_file();
            continue;
        }
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
