// Either thread may end first. A consumer that gives up (a disk is full) has a producer that waits
// for room: it is woken, told to stop and joined. A producer that fails has blocks before it that
// are good: what it threw comes in its place behind them, and once. A block that was given out must
// outlive the queue: it is the consumer's own until the next call.
#include "image/layer/read_ahead.h"

#include <utility>

namespace {

constexpr size_t most_ahead = 2;                  // blocks
constexpr size_t full_block = size_t(256) << 10;  // bytes; larger ones stay as they come

std::function<void(const ReadAhead::Take&)> all_of(std::function<std::string_view()> read) {
    return [read = std::move(read)](const ReadAhead::Take& take) {
        for (std::string_view piece = read(); !piece.empty(); piece = read()) take(piece);
    };
}

}  // namespace

ReadAhead::ReadAhead(std::function<std::string_view()> read) : ReadAhead(all_of(std::move(read))) {}

ReadAhead::ReadAhead(std::function<void(const Take&)> produce)
    : produce_(std::move(produce)), thread_([this] { work(); }) {}

ReadAhead::~ReadAhead() {
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void ReadAhead::work() {
    std::exception_ptr error;
    try {
        produce_([this](std::string_view piece) { take(piece); });
    } catch (const Stopped&) {
        return;
    } catch (...) {  // for the thread that waits for it
        error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    produced_ = true, error_ = error;
    changed_.notify_all();
}

// Small pieces are gathered in a block that nobody has taken yet. What was taken is used again: new
// memory costs the kernel more than what is done with it.
void ReadAhead::take(std::string_view piece) {
    if (piece.empty()) return;
    std::unique_lock lock(mutex_);
    const auto has_room = [&] { return !blocks_.empty() && blocks_.back().size() < full_block; };
    changed_.wait(lock, [&] { return stopped_ || has_room() || blocks_.size() < most_ahead; });
    if (stopped_) throw Stopped();
    if (has_room()) {
        blocks_.back() += piece;
    } else {
        std::string block;
        if (!spare_.empty()) block = std::move(spare_.back()), spare_.pop_back();
        lock.unlock();
        block.assign(piece);
        lock.lock();
        blocks_.push_back(std::move(block));
    }
    changed_.notify_all();
}

std::string_view ReadAhead::next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return produced_ || !blocks_.empty(); });
    if (blocks_.empty()) {
        if (error_) std::rethrow_exception(std::exchange(error_, {}));
        return {};
    }
    if (current_.capacity() >= full_block) spare_.push_back(std::move(current_));
    current_ = std::move(blocks_.front());
    blocks_.pop_front();
    changed_.notify_all();
    return current_;
}
