// Steps run beside each other, and what they print comes mixed: each line says whose it is.
#include "builder/report.h"

#include <time.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <mutex>
#include <vector>

#include "base/text.h"

namespace {

double seconds_now() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return double(time.tv_sec) + double(time.tv_nsec) / 1e9;
}

}  // namespace

std::string shown_time(double seconds) {
    char text[32];
    if (seconds < 1)
        std::snprintf(text, sizeof text, "%.0fms", std::ceil(seconds * 1000));
    else if (seconds < 60)
        std::snprintf(text, sizeof text, "%.1fs", seconds);
    else
        std::snprintf(text, sizeof text, "%dm%02ds", int(seconds) / 60, int(seconds) % 60);
    return text;
}

struct BuildReport::State {
    Display display;
    const Graph& graph;
    std::mutex mutex;
    struct OfStep {
        size_t number = 0;  // in the order in which they began
        double began = 0;
    };
    std::vector<OfStep> steps;
    size_t begun = 0;

    void line(const std::string& text) const {
        if (display != Display::quiet) std::fprintf(stderr, "%s\n", text.c_str());
    }
};

BuildReport::BuildReport(Display display, const Graph& graph)
    : state_(new State{.display = display,
                       .graph = graph,
                       .mutex = {},
                       .steps = std::vector<State::OfStep>(graph.steps.size())}) {}

BuildReport::~BuildReport() = default;

void BuildReport::begin(size_t step) {
    const std::lock_guard one_thread(state_->mutex);
    State::OfStep& own = state_->steps[step];
    own = {.number = ++state_->begun, .began = seconds_now()};
    const Step& what = state_->graph.steps[step];
    state_->line(str("#", own.number, " [", what.stage, what.stage.empty() ? "" : " ", what.number,
                     "/", what.of, "] ", what.shown));
}

void BuildReport::output(size_t step, std::string_view line) {
    const std::lock_guard one_thread(state_->mutex);
    state_->line(str("#", state_->steps[step].number, " ", line));
}

void BuildReport::end(size_t step, End how) {
    const std::lock_guard one_thread(state_->mutex);
    const State::OfStep& own = state_->steps[step];
    const std::string took = shown_time(seconds_now() - own.began);
    const char* const words[] = {"DONE ", "CACHED", "ERROR after "};
    state_->line(str("#", own.number, " ", words[int(how)], how == End::cached ? "" : took));
}

void BuildReport::say(const std::string& line) {
    const std::lock_guard one_thread(state_->mutex);
    state_->line(line);
}
