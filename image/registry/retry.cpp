// Many clients that were refused at the same moment must not come back at the same moment: a wait
// has a random part.
#include "image/registry/retry.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <random>
#include <thread>

#include "base/log.h"

using namespace std::chrono_literals;

namespace {

constexpr int attempts = 4;
constexpr std::chrono::milliseconds first_wait = 500ms;  // doubled each time
constexpr std::chrono::seconds longest_wait = 60s;
constexpr std::array passing = {408L, 429L, 500L, 502L, 503L, 504L};

}  // namespace

bool is_passing(const HttpResponse& answer) {
    return std::ranges::find(passing, answer.status) != passing.end();
}

std::optional<std::chrono::seconds> parse_retry_after(std::string_view header,
                                                      std::chrono::system_clock::time_point now) {
    header = trim(header);
    if (const auto seconds = parse_number<uint32_t>(header)) return std::chrono::seconds(*seconds);
    tm date{};
    const std::string text(header);
    const char* const end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
    if (!end || *end) return {};
    const auto then = std::chrono::system_clock::from_time_t(::timegm(&date));
    return std::max(std::chrono::ceil<std::chrono::seconds>(then - now), 0s);
}

bool Retry::again_after(std::chrono::milliseconds at_least) {
    if (++fruitless_ == attempts || at_least > longest_wait) return false;
    const auto usual = first_wait * (1 << (fruitless_ - 1));
    thread_local std::minstd_rand random(std::random_device{}());
    const auto wait = std::max<std::chrono::milliseconds>(usual, at_least) +
                      std::chrono::milliseconds(random() % uint64_t(usual.count() / 2));
    log_debug(str("trying once more in ", wait.count(), " ms"));
    std::this_thread::sleep_for(wait);
    return true;
}

bool Retry::again() { return again_after(0ms); }

bool Retry::again(const HttpResponse& refused) {
    const auto wanted =
        parse_retry_after(refused.header("retry-after"), std::chrono::system_clock::now());
    return again_after(wanted.value_or(0s));
}
