// The end of something: a list of steps each of which is attempted, whatever became of those before
// it. The first failure is thrown at the end, the others are warnings.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

class Steps {
public:
    template <class Step>
    void step(std::string_view doing, Step&& step) {
        try {
            context(doing, std::forward<Step>(step));
        } catch (const Error& e) {
            if (first_)
                log_warning(e.what());
            else
                first_ = e;
        }
    }
    // Throws the first failure, if there was one.
    void finish() {
        if (first_) throw *std::exchange(first_, {});
    }

private:
    std::optional<Error> first_;
};
