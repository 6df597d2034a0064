// Errors are for the person who typed the command: what we were doing, to which thing, why not.
// Lower case, no full stop, names quoted. Throw at the bottom, add context() where a level knows
// something the one below does not, print in main. Nobody catches to decide.
#pragma once

#include <cerrno>
#include <exception>
#include <string>
#include <utility>

#include "base/text.h"

// What strerror says, as Go writes it (lower case): callers of a runtime match these words.
std::string errno_text(int code);

class Error : public std::exception {
public:
    template <class... Parts>
    explicit Error(const Parts&... parts) : text_(str(parts...)) {}

    const char* what() const noexcept override { return text_.c_str(); }
    void suffix(std::string_view more) { text_ += more; }
    void prefix(std::string_view doing) { text_ = str(doing, ": ", text_), located_ = false; }
    // A step of the way to what is wrong in a document, the last first: "mounts", "[0]" and
    // "source" become "mounts[0].source: must be a string".
    void locate(std::string_view step) {
        const char* joint = !located_ ? ": " : text_.starts_with('[') ? "" : ".";
        text_ = str(step, joint, text_), located_ = true;
    }

    // What the process should exit with if this reaches main; 0 leaves it to main.
    int exit_code() const { return exit_code_; }
    Error& exit_with(int code) & {
        exit_code_ = code;
        return *this;
    }
    Error exit_with(int code) && {
        exit_code_ = code;
        return std::move(*this);
    }

private:
    std::string text_;
    bool located_ = false;  // it begins with a place in a document
    int exit_code_ = 0;
};

class SysError : public Error {  // a failed system call
public:
    // The braces matter: they read errno before the text is built.
    template <class... Parts>
    explicit SysError(const Parts&... doing) : SysError{errno, str(doing...)} {}
    SysError(int code, std::string doing) : Error(doing, ": ", errno_text(code)), code_(code) {}
    int code() const { return code_; }

private:
    int code_;
};

// For the result of a system call. The arguments must be things already computed: a call that
// allocates could disturb errno.
template <class Result, class... Parts>
Result check(Result result, const Parts&... doing) {
    if (result < 0) throw SysError(doing...);
    return result;
}

// Runs a step; if it fails, says what we were doing: "mounting /proc: permission denied".
template <class Doing, class Step>
decltype(auto) context(const Doing& doing, Step&& step) try {
    return std::forward<Step>(step)();
} catch (Error& e) {
    e.prefix(str(doing));
    throw;
} catch (const std::exception& e) {  // a library's: from here on it is ours
    throw Error(doing, ": ", e.what());
}

// Prints a warning; declared here so that attempt() needs no more than this header.
void log_warning(const std::string& message) noexcept;

// For clean-up: it must not hide the first error, and must not be silent either.
template <class Step>
void attempt(std::string_view doing, Step&& step) noexcept try {
    step();
} catch (const std::exception& e) {
    log_warning(str(doing, ": ", e.what()));
}
