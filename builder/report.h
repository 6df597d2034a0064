// What a person sees of a build while it goes on. Everything goes to standard error. Several
// threads may tell at once.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "builder/graph.h"

// As `--progress` has it; automatic is tty on a terminal, else plain.
enum class BuildDisplay { automatic, plain, tty, raw_json, quiet };

class BuildReport {
public:
    // `source` is the Dockerfile, from which the lines of a step that fails are shown.
    BuildReport(BuildDisplay display, const Graph& graph, std::string source);
    ~BuildReport();
    BuildReport(const BuildReport&) = delete;
    BuildReport& operator=(const BuildReport&) = delete;

    void begin(size_t step);
    void output(size_t step, std::string_view line);
    enum class End { made, cached };
    void end(size_t step, End how);
    void fail(size_t step, const std::string& error);
    // A step that was given up because another has failed.
    void give_up(size_t step);
    void say(const std::string& line);
    // What was cached, what took how long.
    void summary();
    // While there are threads, a terminal is drawn anew by another one.
    void start_clock();
    void stop_clock();
    // Of the step that failed: its output if that was not shown, and its lines of the Dockerfile.
    const std::string& failure() const { return failure_; }

private:
    struct StepState;
    class Screen;
    class Plain;
    class Terminal;
    class RawJson;
    struct State;
    std::unique_ptr<State> state_;
    std::string failure_;
};

// "12ms", "3.4s", "2m05s"
std::string shown_time(double seconds);
