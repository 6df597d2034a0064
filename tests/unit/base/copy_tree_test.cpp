// Proves that a copy lacks nothing. What a poor copy loses does not show in its bytes: a hole, a
// second name of one inode, nanoseconds, a mode that chown takes away. And the tree is deeper than
// a process may have descriptors.
#include "base/copy_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "tests/unit/catch.h"
#include "tests/unit/deep_tree.h"
#include "tests/unit/scratch.h"

namespace {

struct Trees : Scratch {
    Trees() { sys::mkdir(path + "/from", 0755), sys::mkdir(path + "/to", 0755); }
    std::string from(const std::string& name) const { return path + "/from/" + name; }
    std::string to(const std::string& name) const { return path + "/to/" + name; }
    void copy(Likeness likeness = Likeness::full) const {
        copy_tree(sys::open(path + "/from", O_RDONLY | O_DIRECTORY).get(),
                  sys::open(path + "/to", O_RDONLY | O_DIRECTORY).get(), likeness);
    }
};

}  // namespace

TEST_CASE("a copied tree has what the tree has: files, links, modes, times, attributes") {
    Trees trees;
    sys::mkdir(trees.from("sub"), 0750);
    write_file(trees.from("sub/file"), "text", 0640);
    check(::link(trees.from("sub/file").c_str(), trees.from("again").c_str()), "link");
    check(::symlink("sub/file", trees.from("link").c_str()), "symlink");
    check(::symlink("/etc/shadow", trees.from("out").c_str()), "symlink");
    check(::mkfifo(trees.from("fifo").c_str(), 0600), "mkfifo");
    const timespec times[] = {{1'000'000'000, 5}, {981'173'106, 7}};
    check(::utimensat(AT_FDCWD, trees.from("sub/file").c_str(), times, 0), "utimensat");
    check(::utimensat(AT_FDCWD, trees.from("sub").c_str(), times, 0), "utimensat");
    check(::chmod(trees.from("sub/file").c_str(), 06710), "chmod");
    const bool attributes =
        ::setxattr(trees.from("sub/file").c_str(), "user.note", "kept", 4, 0) == 0;
    trees.copy();

    CHECK(read_file(trees.to("again")) == "text");
    const struct stat file = sys::lstat(trees.to("sub/file")),
                      again = sys::lstat(trees.to("again"));
    CHECK(file.st_ino == again.st_ino);
    CHECK((file.st_mode & 07777) == 06710);
    CHECK(file.st_mtim.tv_sec == 981'173'106);
    CHECK(file.st_mtim.tv_nsec == 7);
    CHECK((sys::lstat(trees.to("sub")).st_mode & 07777) == 0750);
    CHECK(sys::lstat(trees.to("sub")).st_mtim.tv_sec == 981'173'106);
    CHECK(S_ISLNK(sys::lstat(trees.to("out")).st_mode));
    CHECK(S_ISFIFO(sys::lstat(trees.to("fifo")).st_mode));
    char value[8] = "";
    if (attributes)
        CHECK(::getxattr(trees.to("sub/file").c_str(), "user.note", value, sizeof value) == 4);
}

TEST_CASE("a hole stays a hole when a tree is copied") {
    Trees trees;
    const UniqueFd file = sys::open(trees.from("sparse"), O_WRONLY | O_CREAT, 0600);
    check(::pwrite(file.get(), "end", 3, 64 << 20), "pwrite");
    check(::ftruncate(file.get(), 128 << 20), "ftruncate");
    trees.copy();
    const struct stat copied = sys::lstat(trees.to("sparse"));
    CHECK(copied.st_size == 128 << 20);
    CHECK(copied.st_blocks < 1000);
    char text[4] = "";
    check(::pread(sys::open(trees.to("sparse"), O_RDONLY).get(), text, 3, 64 << 20), "pread");
    CHECK(text == std::string("end"));
}

TEST_CASE(
    "a plain copy has what the tree has but times and attributes, and leaves the top as it is") {
    Trees trees;
    sys::mkdir(trees.from("sub"), 0750);
    write_file(trees.from("sub/file"), "text", 0600);
    check(::link(trees.from("sub/file").c_str(), trees.from("again").c_str()), "link");
    check(::symlink("sub/file", trees.from("link").c_str()), "symlink");
    check(::chmod(trees.from("sub/file").c_str(), 06710), "chmod");
    check(::chmod(trees.from("").c_str(), 0700), "chmod");
    const timespec times[] = {{1'000'000'000, 0}, {981'173'106, 0}};
    check(::utimensat(AT_FDCWD, trees.from("sub/file").c_str(), times, 0), "utimensat");
    trees.copy(Likeness::plain);

    const struct stat file = sys::lstat(trees.to("sub/file"));
    CHECK(read_file(trees.to("sub/file")) == "text");
    CHECK((file.st_mode & 07777) == 06710);
    CHECK(file.st_mtim.tv_sec != 981'173'106);
    CHECK(file.st_nlink == 1);
    CHECK((sys::lstat(trees.to("sub")).st_mode & 07777) == 0750);
    CHECK(S_ISLNK(sys::lstat(trees.to("link")).st_mode));
    CHECK((sys::lstat(trees.to("")).st_mode & 07777) == 0755);
}

TEST_CASE("a default access list of a directory that is copied holds for no file in it") {
    Trees trees;
    sys::mkdir(trees.from("sub"), 0755);
    write_file(trees.from("sub/file"), "", 0604);
    // Version 2; the owner, the group and others may do all: what a new file would begin with.
    static constexpr unsigned char all[] = {2,   0,   0, 0, 1,   0,   7,   0,   255, 255,
                                            255, 255, 4, 0, 7,   0,   255, 255, 255, 255,
                                            32,  0,   7, 0, 255, 255, 255, 255};
    if (::setxattr(trees.from("sub").c_str(), "system.posix_acl_default", all, sizeof all, 0) < 0)
        return;  // no access lists here
    trees.copy();
    char value[64];
    CHECK(::getxattr(trees.to("sub").c_str(), "system.posix_acl_default", value, sizeof value) ==
          sizeof all);
    CHECK((sys::lstat(trees.to("sub/file")).st_mode & 07777) == 0604);
}

TEST_CASE("what cannot be copied is named by its path") {
    if (::geteuid() != 0) return;
    Trees trees;
    sys::mkdir(trees.from("sub"), 0755);
    write_file(trees.from("sub/file"), "");
    sys::mkdir(trees.to("sub"), 0755);
    CHECK_THROWS_WITH(trees.copy(), "copying \"./sub\": mkdir: file exists");
}

TEST_CASE("a tree that is deeper than descriptors last is copied") {
    Trees trees;
    constexpr int depth = 1500;
    make_chain(trees.path + "/from", depth);
    {
        const FewDescriptors few;
        trees.copy();
    }
    UniqueFd there = sys::open(trees.path + "/to", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < depth; ++i) {
        REQUIRE(there);
        there.reset(::openat(there.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    CHECK(there);
}
