// What a person sees of a build while it goes on. Everything goes to standard error. Several
// threads may tell at once.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "builder/graph.h"

class BuildReport {
public:
    enum class Display { automatic, plain, tty, quiet };
    BuildReport(Display display, const Graph& graph);
    ~BuildReport();
    BuildReport(const BuildReport&) = delete;
    BuildReport& operator=(const BuildReport&) = delete;

    void begin(size_t step);
    void output(size_t step, std::string_view line);
    enum class End { made, cached, failed };
    void end(size_t step, End how);
    void say(const std::string& line);

private:
    struct State;
    std::unique_ptr<State> state_;
};

// "12ms", "3.4s", "2m05s"
std::string shown_time(double seconds);
