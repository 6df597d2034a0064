// Go's words for a boolean, as its flag packages and strconv.ParseBool take them: 1, t, T, TRUE,
// true, True and their opposites. The only reader of booleans that a person or a caller types.
#pragma once

#include <optional>
#include <string_view>

std::optional<bool> parse_bool(std::string_view word);
