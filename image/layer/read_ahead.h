// Bytes that are made in a thread of their own, a few blocks ahead of who takes them: inflating a
// layer goes on while it is hashed and written, and so does a download.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

class ReadAhead {
public:
    // `read` gives the next bytes, and nothing at the end; it is called by the other thread only.
    // What it throws comes out of next(), behind what it gave.
    explicit ReadAhead(std::function<std::string_view()> read);
    // The same of who gives all of them to `take`, one piece after the other. What take() throws,
    // because nobody wants more, must end it.
    using Take = std::function<void(std::string_view)>;
    explicit ReadAhead(std::function<void(const Take& take)> produce);
    ~ReadAhead();

    // The next bytes, which stay until the next call; nothing at the end.
    std::string_view next();

private:
    struct Stopped {};  // nobody takes more
    void work();
    void take(std::string_view piece);

    std::function<void(const Take&)> produce_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::string> blocks_;
    std::exception_ptr error_;
    bool produced_ = false;  // all of it
    bool stopped_ = false;
    std::string current_;             // the consumer's
    std::vector<std::string> spare_;  // those that it had, at most as many as are ahead of it
    std::thread thread_;              // last: it uses all of the above
};
