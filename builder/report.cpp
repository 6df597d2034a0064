// What is hard: steps run beside each other, and what they print comes mixed. Elsewhere than on a
// terminal each line says whose it is; on a terminal what runs is a few lines at the bottom that
// are drawn anew, and what is done scrolls away above them. What a command prints is a stranger's:
// nothing of it moves the cursor.
#include "builder/report.h"

#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/base64.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "builder/language/lint_rules.h"
#include "image/digest.h"

namespace {

constexpr size_t lines_kept = 20;  // of a step's output, for when it fails
constexpr size_t lines_shown = 4;  // on a terminal, while it runs
constexpr size_t steps_shown = 8;  // at once
constexpr auto redrawn_after = std::chrono::milliseconds(120);

double seconds_now() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return double(time.tv_sec) + double(time.tv_nsec) / 1e9;
}

size_t terminal_width() {
    winsize size{};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

// "[build 2/5] RUN make"
std::string title_of(const Step& step) {
    return str("[", step.stage, step.stage.empty() ? "" : " ", step.number, "/", step.of, "] ",
               step.shown);
}

void put(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stderr); }

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

struct BuildReport::StepState {
    enum { waiting, running, done } state = waiting;
    size_t number = 0;  // in the order in which they began
    double began = 0, took = 0;
    bool cached = false;
    std::deque<std::string> tail;
};

// Called by one thread at a time. The default shows nothing.
class BuildReport::Screen {
public:
    Screen(const Graph& graph, const std::vector<StepState>& steps)
        : graph_(graph), steps_(steps) {}
    virtual ~Screen() = default;
    virtual void begin(size_t) {}
    virtual void output(size_t, std::string_view) {}
    virtual void end(size_t) {}
    virtual void fail(size_t, const std::string&) {}
    virtual void say(const std::string&) {}
    virtual void redraw() {}
    virtual bool shows_output() const { return false; }  // as it comes

protected:
    const Graph& graph_;
    const std::vector<StepState>& steps_;
};

class BuildReport::Plain : public Screen {
public:
    using Screen::Screen;
    void begin(size_t i) override {
        put(str("#", steps_[i].number, " ", visible(title_of(graph_.steps[i])), "\n"));
    }
    void output(size_t i, std::string_view line) override {
        put(str("#", steps_[i].number, " ", visible(line, "\t"), "\n"));
    }
    void end(size_t i) override {
        const StepState& step = steps_[i];
        put(str("#", step.number, step.cached ? " CACHED" : " DONE " + shown_time(step.took),
                "\n"));
    }
    void fail(size_t i, const std::string& error) override {
        put(str("#", steps_[i].number, " ERROR: ", error, "\n"));
    }
    void say(const std::string& line) override { put(line + "\n"); }
    bool shows_output() const override { return true; }
};

class BuildReport::Terminal : public Screen {
public:
    Terminal(const Graph& graph, const std::vector<StepState>& steps)
        : Screen(graph, steps), began_(seconds_now()) {}
    ~Terminal() override { put(erase()); }
    void end(size_t i) override {
        const StepState& step = steps_[i];
        above(line(str(" => ", step.cached ? "CACHED " : "", title_of(graph_.steps[i])),
                   step.cached ? "" : shown_time(step.took)));
    }
    void fail(size_t i, const std::string&) override {
        above(line(str(" => ERROR ", title_of(graph_.steps[i])), shown_time(steps_[i].took)));
    }
    void say(const std::string& text) override { above(line(" => " + text, "")); }
    void redraw() override { put(erase() + running()); }

private:
    void above(const std::string& text) { put(erase() + text + running()); }

    // Leaves the cursor where the lines of what runs began.
    std::string erase() {
        std::string out;
        if (drawn_ > 0) out = str("\r\x1b[", drawn_, "A\x1b[J");
        drawn_ = 0;
        return out;
    }

    // As wide as the terminal: the end on the right.
    std::string line(const std::string& text, const std::string& end) const {
        const size_t width = std::max<size_t>(terminal_width(), 20) - 1;
        std::string left = visible(text);
        const size_t room = width - std::min(width, end.size() + 1);
        if (left.size() > room) left = left.substr(0, room > 1 ? room - 1 : 0) + "~";
        left.resize(std::max(left.size(), room), ' ');
        return str(left, " ", end, "\n");
    }

    std::string running() {
        const double now = seconds_now();
        const size_t done = size_t(std::ranges::count(steps_, StepState::done, &StepState::state));
        std::string out =
            line(str("[+] Building (", done, "/", steps_.size(), ")"), shown_time(now - began_));
        drawn_ = 1;
        size_t shown = 0;
        for (size_t i = 0; i < steps_.size() && shown < steps_shown; ++i) {
            const StepState& step = steps_[i];
            if (step.state != StepState::running) continue;
            ++shown, ++drawn_;
            out += line(" => " + title_of(graph_.steps[i]), shown_time(now - step.began));
            const size_t first = step.tail.size() - std::min(step.tail.size(), lines_shown);
            for (size_t k = first; k < step.tail.size(); ++k, ++drawn_)
                out += str("\x1b[2m", line(" => => " + step.tail[k], ""), "\x1b[0m");
        }
        return out;
    }

    double began_;
    size_t drawn_ = 0;  // lines
};

// BuildKit's "solve status", a document a line.
class BuildReport::RawJson : public Screen {
public:
    using Screen::Screen;
    void begin(size_t i) override { vertex(i, {{"started", rfc3339_now()}}); }
    void end(size_t i) override {
        vertex(i, {{"started", rfc3339_now()},
                   {"completed", rfc3339_now()},
                   {"cached", steps_[i].cached}});
    }
    void fail(size_t i, const std::string& error) override {
        vertex(i, {{"completed", rfc3339_now()}, {"error", error}});
    }
    void output(size_t i, std::string_view text) override {
        document({{"logs", json::Value::array({{{"vertex", id(i)},
                                                {"stream", 1},
                                                {"data", encode_base64(std::string(text) + "\n")},
                                                {"timestamp", rfc3339_now()}}})}});
    }
    bool shows_output() const override { return true; }

private:
    std::string id(size_t i) const {
        return digest_of(str(i, " ", title_of(graph_.steps[i]))).text();
    }
    void vertex(size_t i, json::Value more) const {
        more["digest"] = id(i);
        more["name"] = title_of(graph_.steps[i]);
        document({{"vertexes", json::Value::array({more})}});
    }
    static void document(const json::Value& value) { put(json::dump(value) + "\n"); }
};

struct BuildReport::State {
    const Graph& graph;
    std::string source;
    std::mutex mutex;
    std::vector<StepState> steps;
    std::unique_ptr<Screen> screen;
    double began = seconds_now();
    size_t begun = 0;
    // Redraws.
    std::condition_variable ended;
    bool is_over = false;
    std::thread clock;

    void draw() {
        std::unique_lock lock(mutex);
        while (!ended.wait_for(lock, redrawn_after, [&] { return is_over; })) screen->redraw();
    }
};

BuildReport::BuildReport(BuildDisplay display, const Graph& graph, std::string source)
    : state_(new State{.graph = graph,
                       .source = std::move(source),
                       .mutex = {},
                       .steps = std::vector<StepState>(graph.steps.size()),
                       .screen = nullptr}) {
    State& own = *state_;
    if (display == BuildDisplay::automatic)
        display = ::isatty(STDERR_FILENO) ? BuildDisplay::tty : BuildDisplay::plain;
    switch (display) {
        case BuildDisplay::tty: own.screen = std::make_unique<Terminal>(graph, own.steps); break;
        case BuildDisplay::raw_json:
            own.screen = std::make_unique<RawJson>(graph, own.steps);
            break;
        case BuildDisplay::quiet: own.screen = std::make_unique<Screen>(graph, own.steps); break;
        default: own.screen = std::make_unique<Plain>(graph, own.steps);
    }
}

BuildReport::~BuildReport() { stop_clock(); }

void BuildReport::start_clock() {
    if (dynamic_cast<Terminal*>(state_->screen.get()))
        state_->clock = std::thread([this] { state_->draw(); });
}

void BuildReport::stop_clock() {
    if (!state_->clock.joinable()) return;
    {
        const std::lock_guard one_thread(state_->mutex);
        state_->is_over = true;
    }
    state_->ended.notify_all();
    state_->clock.join();
    state_->is_over = false;
}

void BuildReport::begin(size_t step) {
    const std::lock_guard one_thread(state_->mutex);
    StepState& own = state_->steps[step];
    own.state = StepState::running;
    own.number = ++state_->begun;
    own.began = seconds_now();
    state_->screen->begin(step);
}

void BuildReport::output(size_t step, std::string_view line) {
    const std::lock_guard one_thread(state_->mutex);
    std::deque<std::string>& tail = state_->steps[step].tail;
    tail.emplace_back(line);
    if (tail.size() > lines_kept) tail.pop_front();
    state_->screen->output(step, line);
}

void BuildReport::end(size_t step, End how) {
    const std::lock_guard one_thread(state_->mutex);
    StepState& own = state_->steps[step];
    own.state = StepState::done;
    own.cached = how == End::cached;
    own.took = seconds_now() - own.began;
    state_->screen->end(step);
}

void BuildReport::give_up(size_t step) {
    const std::lock_guard one_thread(state_->mutex);
    state_->steps[step].state = StepState::waiting;
}

void BuildReport::fail(size_t step, const std::string& error) {
    const std::lock_guard one_thread(state_->mutex);
    StepState& own = state_->steps[step];
    own.state = StepState::waiting;
    own.took = seconds_now() - own.began;
    state_->screen->fail(step, error);
    if (dynamic_cast<RawJson*>(state_->screen.get())) return;
    const Step& what = state_->graph.steps[step];
    std::string text;
    if (!state_->screen->shows_output() && !own.tail.empty()) {
        text = str("------\n > ", visible(title_of(what)), ":\n");
        for (const std::string& line : own.tail) text += visible(line, "\t") + "\n";
        text += "------\n";
    }
    const size_t colon = what.where.find(':');
    const auto line = parse_number<int>(what.where.substr(colon + 1));
    if (line) text += excerpt(state_->source, what.where.substr(0, colon), *line, *line);
    failure_ = std::move(text);
}

void BuildReport::say(const std::string& line) {
    const std::lock_guard one_thread(state_->mutex);
    state_->screen->say(line);
}

void BuildReport::summary() {
    size_t made = 0, cached = 0;
    const StepState* slowest = nullptr;
    for (const StepState& step : state_->steps) {
        (step.cached ? cached : made) += step.state == StepState::done;
        if (step.state == StepState::done && !step.cached &&
            (!slowest || step.took > slowest->took))
            slowest = &step;
    }
    std::string text = str("built in ", shown_time(seconds_now() - state_->began), ": ", made,
                           made == 1 ? " step" : " steps", " made, ", cached, " cached");
    if (slowest && made > 1)
        text += str("; the longest took ", shown_time(slowest->took), ": ",
                    title_of(state_->graph.steps[size_t(slowest - state_->steps.data())]));
    say(text);
}
