// Either thread may end first. A consumer that gives up (a disk is full) has a producer that waits
// for room: it is woken, told to stop and joined. A producer that fails has blocks before it that
// are good: what it threw comes in its place behind them, and once. A block that was given out must
// outlive the queue: it is the consumer's own until the next call.
#include "image/layer/read_ahead.h"

#include <utility>

namespace {
constexpr size_t most_ahead = 4;  // blocks, of a mebibyte each as libarchive gives them
}  // namespace

ReadAhead::ReadAhead(std::function<std::string_view()> read)
    : read_(std::move(read)), thread_([this] { produce(); }) {}

ReadAhead::~ReadAhead() {
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void ReadAhead::produce() {
    for (bool more = true; more;) {
        std::string block;
        std::exception_ptr error;
        try {
            block = read_();
        } catch (...) {  // for the thread that waits for it
            error = std::current_exception();
        }
        more = !block.empty();
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stopped_ || blocks_.size() < most_ahead; });
        if (stopped_) return;
        error_ = error;
        blocks_.push_back(std::move(block));
        changed_.notify_all();
    }
}

std::string_view ReadAhead::next() {
    if (ended_) return {};
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !blocks_.empty(); });
    current_ = std::move(blocks_.front());
    blocks_.pop_front();
    changed_.notify_all();
    ended_ = current_.empty();
    if (ended_ && error_) std::rethrow_exception(error_);
    return current_;
}
