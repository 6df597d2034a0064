// Bytes as RFC 4648's base64, in its own alphabet.
#pragma once

#include <optional>
#include <string>
#include <string_view>

std::string encode_base64(std::string_view bytes);

// Whether a text must be filled up with "=", or may be.
enum class Padding { needed, optional };
// Nothing for a text that is none.
std::optional<std::string> decode_base64(std::string_view text, Padding padding = Padding::needed);
