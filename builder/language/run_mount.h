// RUN --mount=…: what one of them asks for, by the Dockerfile reference ("RUN --mount").
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

struct RunMount {
    enum class Type { bind, cache, tmpfs, secret, ssh };
    enum class Sharing { shared, exclusive, locked };  // "private" is a word of C++

    Type type = Type::bind;
    // As written: relative to WORKDIR, which "" is as well. "" of a secret: it is a variable only;
    // of ssh: it has a place of its own.
    std::string target;
    std::string source;  // in `from`; "" is its root
    // A stage, a context or an image; "" is the build's context, of a cache an empty directory.
    std::string from;
    std::string id;  // of a cache, a secret or a key, never "" for them
    Sharing sharing = Sharing::shared;
    // Nothing: 0755 of a cache, 0400 of a secret, 0600 of ssh; root's.
    std::optional<uint32_t> mode, uid, gid;
    int64_t size = 0;  // of a tmpfs, in bytes; 0 is no limit of its own
    bool read_only = true;
    bool required = false;
    std::optional<std::string> env;  // the variable that a secret is in
};

std::string_view mount_type_name(RunMount::Type type);

// Gives a value with its variables replaced.
using ExpandValue = std::function<std::string(std::string_view)>;

// "type=cache,target=/root/.cache": the value of one --mount, fields as in a line of CSV. `expand`
// is asked for each value by itself, so a comma that comes out of a variable begins no field.
// Throws Error in BuildKit's words for a field that is unknown, or says what its type cannot do.
RunMount parse_run_mount(std::string_view text, const ExpandValue& expand);

// Throws Error for what is wrong with a --mount whatever its variables will be: its CSV, and
// "from=$STAGE". For a file as a whole, before anything is built.
void check_run_mount(std::string_view text);
// The `from` of a --mount, "" if it has none: what the stage needs, known before its variables are.
std::string run_mount_from(std::string_view text);
