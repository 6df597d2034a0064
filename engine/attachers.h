// Who attaches to a container that runs: processes that come to its monitor's socket, one packet a
// message, whose first byte says what it is.
//
//     attacher                                  monitor
//     'i' DATA, 'e' (the end of the input) ───▶ to the container's input
//     's' NUMBER, 'w' ROWS COLUMNS ───────────▶ a signal, the size of the terminal
//                  ◀────────────────────────── 'o' DATA, 'r' DATA: its output, its errors
//                  ◀────────────────────────── 'x' CODE: it has ended
#pragma once

#include <poll.h>
#include <sys/ioctl.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

// Where a container's monitor listens.
std::string attach_socket(const std::string& store_root, const std::string& id);

class Attachers {
public:
    // "" listens nowhere.
    explicit Attachers(std::string path);
    Attachers(const Attachers&) = delete;
    Attachers& operator=(const Attachers&) = delete;
    ~Attachers();

    // What one of them said.
    struct Heard {
        std::string input;
        bool input_ended = false;
        std::vector<int> signals;
        std::optional<winsize> size;
    };
    // What to poll for: those it takes now come to `serve`, in the same order. Without
    // `take_input` nobody is listened to, so that whoever types waits.
    std::vector<pollfd> polls(bool take_input) const;
    Heard serve(const std::vector<pollfd>& polled);
    void write(bool is_error, std::string_view data);
    // Somebody has not taken yet what was written: the container should wait for him.
    bool is_behind() const;
    // Nobody comes any more.
    void tell_end(int exit_code);
    // After that; whoever does not take it is waited for until he goes.
    void wait_until_caught_up();

private:
    struct One {
        UniqueFd channel;
        std::vector<std::string> pending;  // packets, the next one first
    };
    void accept();
    static void hear(One& one, Heard& heard);
    static void catch_up(One& one);

    std::string path_;
    UniqueFd listener_;
    std::vector<One> all_;
};
