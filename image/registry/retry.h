// When what failed is tried once more, and how long one waits before.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "image/registry/http.h"

// Something passes that a busy or a restarting server says: 408, 429, 500, 502, 503, 504.
bool is_passing(const HttpResponse& answer);
// Of a Retry-After: seconds, or a date. Nothing for what is neither.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view header,
                                                      std::chrono::system_clock::time_point now);

// Of one piece of work. Only tries that bring nothing are counted: a large layer comes over a line
// that breaks again and again.
class Retry {
public:
    // Waits, and says yes; or no: it was tried often enough, or the server wants more time than
    // anybody would wait.
    bool again(const HttpResponse& refused);
    bool again();
    void progress() { fruitless_ = 0; }

private:
    bool again_after(std::chrono::milliseconds at_least);
    int fruitless_ = 0;
};
