#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

void in_parallel(size_t count, size_t threads, const std::function<void(size_t)>& work) {
    std::atomic<size_t> next = 0;
    std::mutex mutex;
    std::exception_ptr error;
    const auto work_off = [&] {
        for (size_t i; (i = next++) < count;) try {
                work(i);
            } catch (...) {
                const std::lock_guard one_thread(mutex);
                if (!error) error = std::current_exception();
                next = count;
            }
    };
    {
        std::vector<std::jthread> running;
        for (size_t i = 0; i < std::min(threads, count); ++i) running.emplace_back(work_off);
    }
    if (error) std::rethrow_exception(error);
}
