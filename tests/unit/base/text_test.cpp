// What is shown to a person cannot steer his terminal, and says still what it said.
#include "base/text.h"

#include "tests/unit/catch.h"

TEST_CASE("characters that steer a terminal are made visible, all others stay") {
    CHECK(visible("plain \"words\" \\ of Zürich, 東京 and 😀") ==
          "plain \"words\" \\ of Zürich, 東京 and 😀");
    CHECK(visible("\x1b[2Ja\rb\nc\td\x7f") == "\\x1b[2Ja\\rb\\nc\\td\\u007f");
    CHECK(visible("a\u009b2Jb\u0085c\u00a0d") == "a\\u009b2Jb\\u0085c\u00a0d");
    CHECK(visible("a\u202eb\u2066c\u2028d\u2030e") == "a\\u202eb\\u2066c\\u2028d\u2030e");
    CHECK(visible("a\nb\tc\x1b", "\n\t") == "a\nb\tc\\x1b");
    CHECK(visible("cut \xe2\x80") == "cut \xe2\x80");
    CHECK(quoted("a\"b\\c\n\u009b") == "\"a\\\"b\\\\c\\n\\u009b\"");
}
