// Bytes that are made in a thread of their own, a few blocks ahead of who takes them: inflating and
// hashing a layer goes on while its files are written.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

class ReadAhead {
public:
    // `read` gives the next bytes, and nothing at the end; it is called by the other thread only.
    // What it throws comes out of next().
    explicit ReadAhead(std::function<std::string_view()> read);
    ~ReadAhead();

    // The next bytes, which stay until the next call; nothing at the end.
    std::string_view next();

private:
    void produce();

    std::function<std::string_view()> read_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::string> blocks_;  // an empty one is the end
    std::exception_ptr error_;
    bool stopped_ = false;
    std::string current_;  // the consumer's
    bool ended_ = false;
    std::thread thread_;  // last: it uses all of the above
};
