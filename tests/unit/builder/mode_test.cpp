// Proves what --chmod does with a file's mode and a directory's.
#include "builder/language/mode.h"

#include "base/error.h"
#include "tests/unit/catch.h"

TEST_CASE("an octal mode is the mode of everything") {
    CHECK(FileMode("755").apply(0100644, false) == 0755);
    CHECK(FileMode("0755").apply(0640, true) == 0755);
    CHECK(FileMode("4711").absolute() == 04711);
    CHECK(FileMode("0").apply(0777, false) == 0);
    CHECK_FALSE(FileMode("+x").absolute());
}

TEST_CASE("a symbolic mode changes what is there") {
    const struct {
        const char* text;
        unsigned mode, file, directory;
    } cases[] = {
        {"+x", 0644, 0755, 0755},
        {"u=rwX,go=rX", 0600, 0644, 0755},
        {"u=rwX,go=rX", 0711, 0755, 0755},
        {"=rX", 0700, 0555, 0555},
        {"u+x,go-w", 0666, 0744, 0744},
        {"a+w", 0644, 0666, 0666},
        {"ugo+w", 0644, 0666, 0666},
        {"+w", 0444, 0644, 0644},  // as if by a umask of 022
        {"-w", 0666, 0466, 0466},
        {"go=", 0777, 0700, 0700},
        {"u=", 04777, 0077, 0077},
        {"g=u", 0741, 0771, 0771},
        {"go=u-w", 0751, 0755, 0755},
        {"o+g", 0750, 0755, 0755},
        {"o-u", 0547, 0542, 0542},
        {"u+s", 0755, 04755, 04755},
        {"g+s,o+t", 0755, 02755, 02755},
        {"+t", 0755, 01755, 01755},
        {"a+t", 0755, 01755, 01755},
        {"u+rw-x", 0100, 0600, 0600},
        {"u+", 0644, 0644, 0644},
        {"-x+X", 0711, 0711, 0711},  // X asks for what was there before all
        {"+X", 0644, 0644, 0755},
        {"u=rwx,g=rx,o=", 0, 0750, 0750},
    };
    for (const auto& [text, mode, file, directory] : cases) {
        CAPTURE(text, mode);
        CHECK(FileMode(text).apply(mode, false) == file);
        CHECK(FileMode(text).apply(mode, true) == directory);
    }
}

TEST_CASE("a mode that is none is refused") {
    for (const char* text : {"", "888", "10000", "-1", "rwx", "u", "u+x,", "u+y", "u=rwx;g=x", ",",
                             "u+x g+x", "0x1ff"}) {
        CAPTURE(text);
        CHECK_THROWS_WITH(FileMode(text), ContainsSubstring("invalid chmod parameter"));
    }
}
