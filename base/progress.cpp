// Several threads draw on one terminal: one lock is held for it, and it guards their counts as
// well. A line is drawn at most ten times a second, so that drawing costs nothing beside the work.
// Who is gone without a last line takes away what was drawn of it, if anything was.
#include "base/progress.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>

using Clock = std::chrono::steady_clock;

namespace {
std::atomic<bool> quiet = false;
std::mutex terminal;
}  // namespace

struct Progress::State {
    std::string label;
    uint64_t total;
    uint64_t done = 0;
    Clock::time_point drawn{};
    bool tty = ::isatty(2) == 1;
    bool finished = false;

    void draw() {
        std::string text = label + "  " + human_size(done);
        if (total) text += " / " + human_size(total);
        std::fprintf(stderr, "\r\033[K%s", text.c_str());
        std::fflush(stderr);
    }
};

Progress::Progress(std::string label, uint64_t total) : state_(std::make_unique<State>()) {
    state_->label = std::move(label);
    state_->total = total;
}

Progress::~Progress() {
    const std::lock_guard lock(terminal);
    if (!state_->finished && state_->tty && !quiet && state_->drawn != Clock::time_point{})
        std::fprintf(stderr, "\r\033[K");
}

void Progress::add(uint64_t bytes) {
    const std::lock_guard lock(terminal);
    state_->done += bytes;
    if (quiet || !state_->tty) return;
    const auto now = Clock::now();
    if (now - state_->drawn < std::chrono::milliseconds(100)) return;
    state_->drawn = now;
    state_->draw();
}

void Progress::finish(const std::string& note) {
    const std::lock_guard lock(terminal);
    state_->finished = true;
    if (quiet) return;
    const std::string size = state_->done ? " (" + human_size(state_->done) + ")" : "";
    std::fprintf(stderr, "%s%s: %s%s\n", state_->tty ? "\r\033[K" : "", state_->label.c_str(),
                 note.c_str(), size.c_str());
}

void Progress::set_quiet(bool wanted) { quiet = wanted; }

std::string human_size(uint64_t bytes) {
    static constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = double(bytes);
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < std::size(units)) value /= 1000, ++unit;
    char text[32];
    std::snprintf(text, sizeof text, "%.3g%s", value, units[unit]);
    return text;
}
