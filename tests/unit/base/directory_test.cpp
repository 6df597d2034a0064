#include "base/directory.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/file.h"
#include "base/sys.h"
#include "tests/unit/catch.h"
#include "tests/unit/scratch.h"

TEST_CASE("the names in a directory come in order, and again from the same descriptor") {
    const Scratch scratch;
    write_file(scratch.path + "/b", "");
    write_file(scratch.path + "/.a", "");
    sys::mkdir(scratch.path + "/c", 0755);
    const UniqueFd opened = sys::open(scratch.path, O_PATH | O_DIRECTORY);
    const std::vector<std::string> expected = {".a", "b", "c"};
    CHECK(names_in(scratch.path) == expected);
    CHECK(names_in(opened.get(), "it") == expected);
    CHECK(names_in(opened.get(), "it") == expected);
    const std::vector<DirectoryEntry> entries = entries_in(opened.get(), "it");
    CHECK((entries[2].type == DT_DIR || entries[2].type == DT_UNKNOWN));
}

TEST_CASE("a directory that is not there has no names, one that cannot be read is an error") {
    const Scratch scratch;
    write_file(scratch.path + "/file", "");
    CHECK(names_in_if_exists(scratch.path + "/none").empty());
    CHECK_THAT(error_of([&] { names_in(scratch.path + "/none"); }), ContainsSubstring("none"));
    CHECK_THAT(error_of([&] { names_in_if_exists(scratch.path + "/file"); }),
               ContainsSubstring("file"));
}
