// The command that started a container, as its monitor sees it: a channel of packets, and the
// command's descriptors 0, 1, 2, which the monitor inherited.
#pragma once

#include <string>
#include <string_view>

#include "base/unique_fd.h"

class Caller {
public:
    // Which of the container's streams it wants.
    Caller(UniqueFd channel, bool output, bool errors)
        : channel_(std::move(channel)), attached_{output, errors} {}

    int channel() const { return channel_.get(); }  // -1: it has gone
    // "started", "failed CODE TEXT", "exit CODE", "detached", "broken".
    void tell(const std::string& message) const;
    // Its next message; nothing: there is none. It may turn out that it has gone.
    std::string hear();
    // It is not heard and written to any more. Nobody shall wait for its descriptors to be closed.
    void leave();

    // What it cannot take now is kept: it is behind, and the container should wait for it.
    void write(bool is_error, std::string_view data);
    bool is_behind() const { return is_behind(false) || is_behind(true); }
    bool is_behind(bool is_error) const { return !pending_[is_error].empty(); }
    void catch_up();  // as far as that goes without waiting
    void wait_until_caught_up();
    // It wanted output that nobody reads any more, as `head` does not when it has its lines.
    bool is_broken() const { return broken_; }

private:
    void catch_up(bool is_error);
    UniqueFd channel_;
    bool attached_[2], broken_ = false;
    std::string pending_[2];
};
