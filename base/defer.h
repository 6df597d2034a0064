#pragma once

#include <utility>

// Undo that runs at the end of the scope unless keep() says the work shall stay. What it calls must
// not throw: wrap it in attempt().
template <class Undo>
class [[nodiscard]] Defer {
public:
    explicit Defer(Undo undo) : undo_(std::move(undo)) {}
    Defer(const Defer&) = delete;
    Defer& operator=(const Defer&) = delete;
    ~Defer() {
        if (armed_) undo_();
    }
    void keep() { armed_ = false; }

private:
    Undo undo_;
    bool armed_ = true;
};
