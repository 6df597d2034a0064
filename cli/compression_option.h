// How layers are to be compressed, for the commands that send them away.
#pragma once

#include <optional>

#include "base/command_line.h"
#include "image/layer/encoder.h"

// Beside an option "compression", whose words say what it is for.
inline constexpr Option compression_level_option = {
    "compression-level",
    "N",
    "how hard to try, 1 to 9 for gzip, 1 to 22 for zstd",
    "",
    false,
    Value::integer,
    1,
    22};

// What was asked for: a level alone is one of gzip. Throws Error for what there is not.
inline std::optional<Compression> read_compression(const Arguments& args) {
    const auto kind = args.value("compression");
    const auto level = args.number("compression-level");
    if (!kind && !level) return {};
    return parse_compression(kind.value_or("gzip"), int(level.value_or(0)));
}
