// What a person sees of long work: a line that is redrawn on a terminal, plain lines elsewhere. All
// of it goes to standard error; standard output belongs to programs. Safe to use from several
// threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

class Progress {
public:
    // total in bytes, or 0 if it is not known.
    explicit Progress(std::string label, uint64_t total = 0);
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void add(uint64_t bytes);
    // The last line: "label: done (12.3 MB)". Without it the line is left as failed by the
    // destructor.
    void finish(const std::string& note = "done");

    static void set_quiet(bool quiet);  // all of the process's: nothing is drawn or printed

private:
    struct State;
    std::unique_ptr<State> state_;
};

// "12.3MB": decimal units, as Docker prints sizes (units.HumanSize: up to 4 significant digits,
// here 3).
std::string human_size(uint64_t bytes);
