#include "base/base64.h"

#include "tests/unit/catch.h"

TEST_CASE("bytes are base64 as RFC 4648 shows it, and back") {
    const std::string_view pairs[][2] = {{"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"}};
    for (const auto& [bytes, text] : pairs) {
        CHECK(encode_base64(bytes) == text);
        CHECK(decode_base64(text) == std::string(bytes));
    }
    const std::string all{'\0', '\xff', '\xfe', '\x3e', '\0'};
    CHECK(decode_base64(encode_base64(all)) == all);
}

TEST_CASE("what is no base64 is none, and only who says so reads it without padding") {
    for (const char* text : {"Zg", "Zg=", "Z===", "Zm9v====", "Zm 9", "Zm-_", "Z=m9"})
        CHECK_FALSE(decode_base64(text).has_value());
    CHECK(decode_base64("Zg", Padding::optional) == "f");
    CHECK(decode_base64("Zg==", Padding::optional) == "f");
    CHECK_FALSE(decode_base64("Z!", Padding::optional).has_value());
}
