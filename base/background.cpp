// The thread begins with the first job and ends with wait(): a process that is about to be cloned
// has none. A job stays the first of the queue while it is being done, so that "nothing to do"
// means done.
#include "base/background.h"

#include <utility>

Background::~Background() { end(false); }

void Background::add(std::function<void()> job) {
    const std::lock_guard one(mutex_);
    jobs_.push_back(std::move(job));
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
    changed_.notify_all();
}

bool Background::is_idle() {
    const std::lock_guard one(mutex_);
    return jobs_.empty();
}

void Background::wait() {
    end(true);
    if (const auto error = std::exchange(error_, nullptr)) std::rethrow_exception(error);
}

void Background::end(bool all) {
    {
        const std::lock_guard one(mutex_);
        if (!all && jobs_.size() > 1) jobs_.resize(1);
        ending_ = true;
        changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
    ending_ = false;
}

void Background::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [&] { return ending_ || !jobs_.empty(); });
        if (jobs_.empty()) return;
        const auto job = jobs_.front();
        lock.unlock();
        std::exception_ptr error;
        try {
            job();
        } catch (...) {
            error = std::current_exception();
        }
        lock.lock();
        jobs_.pop_front();
        if (!error) continue;
        error_ = error;
        jobs_.clear();
    }
}
