// A thread beside the others that does one job after the other: what takes the disk's time and not
// the processor's.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

class Background {
public:
    Background() = default;
    Background(const Background&) = delete;
    Background& operator=(const Background&) = delete;
    ~Background();  // what was not begun is not done

    void add(std::function<void()> job);
    bool is_idle();
    // Until all is done; then there is no thread any more. What a job threw first comes out of
    // here, and those behind it were not done.
    void wait();

private:
    void work();
    void end(bool all);

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> jobs_;  // the first is being done
    std::exception_ptr error_;
    bool ending_ = false;
    std::thread thread_;
};
