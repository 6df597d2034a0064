// Proves that only a stored regular file is opened, by the words of the refusal: they say that a
// FIFO was looked at, where an open would have waited for its other end.
#include "base/regular_file.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "tests/unit/catch.h"
#include "tests/unit/scratch.h"

TEST_CASE("only a regular file of a stranger's is opened, and the error says what it is instead") {
    const Scratch scratch;
    const Root root(scratch.path);
    write_file(scratch.path + "/plain", "text");
    sys::mkdir(scratch.path + "/directory", 0755);
    check(::mkfifo((scratch.path + "/fifo").c_str(), 0644), "mkfifo");
    check(::symlink("plain", (scratch.path + "/link").c_str()), "symlink");
    check(::symlink("fifo", (scratch.path + "/to-fifo").c_str()), "symlink");
    check(::symlink("/nowhere", (scratch.path + "/dangling").c_str()), "symlink");

    for (const char* name : {"plain", "link", "/plain", "directory/../link"})
        CHECK(sys::read_all(open_regular(root, name).get()) == "text");
    CHECK_THROWS_WITH(open_regular(root, "fifo"), "\"fifo\" is a FIFO, not a regular file");
    CHECK_THROWS_WITH(open_regular(root, "to-fifo"), "\"to-fifo\" is a FIFO, not a regular file");
    CHECK_THROWS_WITH(open_regular(root, "directory"),
                      "\"directory\" is a directory, not a regular file");
    CHECK_THROWS_WITH(open_regular(root, "link", O_NOFOLLOW),
                      "\"link\" is a symbolic link, not a regular file");
    CHECK(!open_regular_if_exists(root, "missing"));
    CHECK(!open_regular_if_exists(root, "dangling"));
    CHECK_THROWS(open_regular_if_exists(root, "fifo"));
}

TEST_CASE("a file that the kernel makes as it is read is no regular file") {
    // procfs calls all of its files regular; kmsg waits for ever, others act.
    CHECK_THROWS_WITH(open_regular(Root("/proc"), "version"),
                      "\"version\" is a file of the kernel's (proc), not a regular file");
    CHECK_THROWS_WITH(open_regular(Root("/dev"), "null"),
                      "\"null\" is a character device, not a regular file");
}
