// CRIU speaks protocol buffers over a socket that it inherits (`criu swrk 3`): one request, then
// notifications that it waits for us to confirm, then the response. The messages are those of its
// rpc.proto; fields are named here by their numbers there.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/process.h"
#include "base/unique_fd.h"

namespace criu {

// A message in the making.
class Message {
public:
    Message& number(unsigned field, int64_t value);         // int32, uint32, bool, enum
    Message& text(unsigned field, std::string_view value);  // string, or a message in a message
    Message& message(unsigned field, const Message& value) { return text(field, value.bytes_); }
    const std::string& bytes() const { return bytes_; }

private:
    std::string bytes_;
};

// A message that came. Fields that nobody asks for are skipped; throws Error if it is cut short.
class Reply {
public:
    explicit Reply(std::string_view bytes);
    std::optional<int64_t> number(unsigned field) const;
    std::optional<std::string> text(unsigned field) const;

private:
    struct Field {
        unsigned number;
        int64_t value;
        std::string text;
    };
    std::vector<Field> fields_;
};

enum class Request { dump = 1, restore = 2, pre_dump = 4, notify = 6 };

// What CRIU reports on its way, as it does to action scripts: "setup-namespaces",
// "orphan-pts-master" …
struct Notice {
    std::string script;
    int pid = 0;
    UniqueFd fd;  // with "orphan-pts-master": the master of the terminal
};

struct Outcome {
    int pid = 0;        // of what was restored
    std::string error;  // "criu failed: …", or empty
    std::string words;  // CRIU's first error
};

// CRIU waiting for a request. It ends with the session.
class Session {
public:
    // fds: {ours, number in CRIU}. Standard input, output and error are ours.
    explicit Session(std::vector<std::pair<int, int>> fds, bool dies_with_us = false);
    int pid() const { return criu_.pid(); }
    // options: criu_opts. What `notified` throws ends it: CRIU undoes what it began, and is gone
    // then.
    Outcome perform(Request request, const Message& options,
                    const std::function<void(const Notice&)>& notified);

private:
    ExitStatus end();

    UniqueFd socket_;
    Child criu_;
};

}  // namespace criu
