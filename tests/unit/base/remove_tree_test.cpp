// Proves that a tree of any depth goes with few descriptors, and that what cannot be removed does
// not keep the rest. Root can remove everything, except what is immutable.
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"
#include "tests/unit/catch.h"
#include "tests/unit/deep_tree.h"
#include "tests/unit/scratch.h"

namespace {

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
    sys::mkdir(scratch.path + "/deep", 0755);
    sys::openat(make_chain(scratch.path + "/deep", 3000).get(), "file", O_WRONLY | O_CREAT, 0644);
    const FewDescriptors few;
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

TEST_CASE("a tree that somebody fills meanwhile is gone, or is said not to be empty") {
    const Scratch scratch;
    const std::string tree = scratch.path + "/tree";
    for (int round = 0; round < 20; ++round) {
        for (const char* name : {"", "/filled"}) sys::make_directories(tree + name, 0755);
        const UniqueFd filled = sys::open(tree + "/filled", O_PATH | O_DIRECTORY);
        std::atomic<bool> enough = false;
        std::atomic<int> made = 0;
        std::thread other([&] {
            for (int i = 0; !enough && i < 20'000; ++i, ++made)
                UniqueFd(::openat(filled.get(), str(i).c_str(), O_WRONLY | O_CREAT, 0644));
        });
        while (made < 100) std::this_thread::yield();
        const std::string said = error_of([&] { sys::remove_tree(tree); });
        const bool is_there = sys::exists(tree);
        enough = true;
        other.join();
        CHECK(said == (is_there ? "remove " + tree + "/filled: directory not empty" : ""));
    }
    sys::remove_tree(tree);
    CHECK(!sys::exists(tree));
}

TEST_CASE("what is mounted in a tree is not entered") {
    if (::geteuid() != 0) return;
    const Scratch scratch;
    const std::string tree = scratch.path + "/tree";
    for (const char* name : {"", "/a", "/mounted", "/z"}) sys::mkdir(tree + name, 0755);
    const pid_t child = ::fork();
    if (child == 0) {  // in a mount namespace of its own, which takes the mount along
        const bool made = ::unshare(CLONE_NEWNS) == 0 &&
                          ::mount("", "/", "", MS_REC | MS_PRIVATE, "") == 0 &&
                          ::mount("tmpfs", (tree + "/mounted").c_str(), "tmpfs", 0, "") == 0 &&
                          ::mkdir((tree + "/mounted/kept").c_str(), 0755) == 0;
        if (!made) ::_exit(77);
        const std::string said = error_of([&] { sys::remove_tree(tree); });
        ::_exit(said == "remove " + tree + "/mounted: device or resource busy" &&
                        sys::exists(tree + "/mounted/kept") && !sys::exists(tree + "/z")
                    ? 0
                    : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) return;  // nothing can be mounted here
    CHECK(status == 0);
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
