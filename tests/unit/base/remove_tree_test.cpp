// Proves that a tree of any depth goes with few descriptors, and that what cannot be removed does
// not keep the rest. Root can remove everything, except what is immutable.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"
#include "tests/unit/catch.h"
#include "tests/unit/scratch.h"

namespace {

// Deeper than any path can be long: each level is made in the one before.
void make_chain(const std::string& top, int depth) {
    sys::mkdir(top, 0755);
    UniqueFd here = sys::open(top, O_PATH | O_DIRECTORY);
    for (int i = 0; i < depth; ++i) {
        check(::mkdirat(here.get(), "d", 0755), "mkdir");
        here = sys::openat(here.get(), "d", O_PATH | O_DIRECTORY);
    }
    sys::openat(here.get(), "file", O_WRONLY | O_CREAT, 0644);
}

// What is in it stays, for root too.
void set_immutable(const std::string& directory, bool on) {
    const UniqueFd fd = sys::open(directory, O_RDONLY | O_DIRECTORY);
    int flags = 0;
    check(::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags), "reading its flags");
    flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
    check(::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags), "setting its flags");
}

}  // namespace

TEST_CASE("a tree of any depth is removed with a few descriptors") {
    const Scratch scratch;
    make_chain(scratch.path + "/deep", 3000);
    rlimit before{};
    check(::getrlimit(RLIMIT_NOFILE, &before), "getrlimit");
    const Defer restore([&] { ::setrlimit(RLIMIT_NOFILE, &before); });
    const rlimit few{32, before.rlim_max};
    check(::setrlimit(RLIMIT_NOFILE, &few), "setrlimit");
    sys::remove_tree(scratch.path + "/deep");
    CHECK(!sys::exists(scratch.path + "/deep"));
}

TEST_CASE("what cannot be removed is named, and the rest goes") {
    if (::geteuid() != 0) return;  // only root can make something that root cannot remove
    const Scratch scratch;
    const std::string tree = scratch.path + "/tree";
    for (const char* name : {"", "/a", "/kept", "/z", "/kept/inside"})
        sys::mkdir(tree + name, 0755);
    for (const char* name : {"/a/file", "/z/file", "/top"})
        sys::open(tree + name, O_WRONLY | O_CREAT, 0644);
    set_immutable(tree + "/kept", true);
    const Defer undo([&] { attempt("undoing", [&] { set_immutable(tree + "/kept", false); }); });
    CHECK_THROWS_WITH(sys::remove_tree(tree), "remove " + tree + "/kept: operation not permitted");
    CHECK(!sys::exists(tree + "/a"));
    CHECK(!sys::exists(tree + "/z"));
    CHECK(!sys::exists(tree + "/top"));
}

TEST_CASE("a link is removed, not what it leads to") {
    const Scratch scratch;
    sys::mkdir(scratch.path + "/other", 0755);
    sys::open(scratch.path + "/other/file", O_WRONLY | O_CREAT, 0644);
    sys::mkdir(scratch.path + "/tree", 0755);
    check(::symlink("../other", (scratch.path + "/tree/link").c_str()), "symlink");
    sys::remove_tree(scratch.path + "/tree");
    CHECK(sys::exists(scratch.path + "/other/file"));
    CHECK(!sys::exists(scratch.path + "/tree"));
}

TEST_CASE("what is not there needs no removing") { sys::remove_tree("/nowhere/at/all"); }
