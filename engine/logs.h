// A container's output on disk, in Docker's json-file form:
//   {"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.123456789Z"}
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "engine/settings.h"

// One line of the file. What is not UTF-8 becomes U+FFFD.
std::string log_record(std::string_view text, std::string_view stream, std::string_view time);

// Cuts output into lines (pieces of 16 KiB if they are longer) and appends them to the file. With
// max-size the full file becomes log.1, that one log.2, … (log.1.gz with compress), and of max-file
// files the oldest goes.
class LogWriter {
public:
    explicit LogWriter(const std::string& path, const ContainerLog& settings = {});
    LogWriter(const LogWriter&) = delete;
    LogWriter& operator=(const LogWriter&) = delete;
    ~LogWriter();
    void write(bool is_error, std::string_view data);
    void flush();  // what has no line end yet: the streams are closed

private:
    struct Stream {
        std::string pending, piece_time;
    };
    void append(Stream& stream, const char* name, std::string_view text, std::string& out);
    void write_whole(const std::string& records);
    void rotate();

    std::string path_;
    off_t most_ = 0;  // bytes; 0: any number
    int files_ = 1;
    bool compress_ = false;
    pid_t compressing_ = 0;
    UniqueFd fd_;
    Stream streams_[2];
};

struct LogQuery {
    bool follow = false, timestamps = false, out = true, err = true;
    long long tail = -1;             // lines from the end; -1 = all
    long long since = 0, until = 0;  // nanoseconds since 1970; 0 = no limit
    bool terminal = false;           // one stream
};
// Prints to descriptors 1 and 2, from the oldest file that is kept. With follow, until `ended` says
// that nothing more will come.
void print_log(const std::string& path, const LogQuery& query, const std::function<bool()>& ended);
// "2026-01-02T03:04:05" or "2026-01-02" (UTC if no zone is named), Unix seconds ("1700000000.5") or
// a duration before now ("10m"), as nanoseconds since 1970; "" and "0" are 0. Throws Error for
// other texts, and for seconds beyond 2261.
long long parse_when(const std::string& text);
