// The walk by hand gives what openat2 gives: the same file, or the same error.
#include "base/walk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/sys.h"
#include "tests/unit/catch.h"

namespace fs = std::filesystem;

namespace {

struct Tree {
    fs::path path;
    Tree() {
        char name[] = "/tmp/keg-walk-XXXXXX";
        path = ::mkdtemp(name);
        fs::create_directories(path / "root/a/b");
        fs::create_directories(path / "outside");
        std::ofstream(path / "root/a/file") << "x";
        const std::pair<const char*, const char*> links[] = {{"up", "../../../../../.."},
                                                             {"absolute", "/a"},
                                                             {"file", "a/file"},
                                                             {"slash", "a/b/"},
                                                             {"loop", "loop"},
                                                             {"one", "two"},
                                                             {"two", "one"},
                                                             {"dangling", "/a/none"},
                                                             {"out", "../outside"},
                                                             {"a/back", ".."},
                                                             {"self", "."}};
        for (const auto& [link, target] : links) fs::create_symlink(target, path / "root" / link);
    }
    ~Tree() { fs::remove_all(path); }
};

std::string outcome(const std::expected<UniqueFd, int>& got) {
    if (!got) return std::string("error ") + std::to_string(got.error());
    const struct stat info = sys::fstat(got->get());
    return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino);
}

}  // namespace

TEST_CASE("a walk finds what openat2 finds") {
    const Tree tree;
    const UniqueFd root = sys::open((tree.path / "root").string(), O_PATH | O_DIRECTORY);
    const char* paths[] = {
        ".",           "/",          "a",      "a/b",       "a/b/..",         "a/../../..",
        "..",          "../outside", "up",     "up/a",      "absolute",       "absolute/b",
        "file",        "file/",      "file/x", "slash",     "slash/.",        "loop",
        "one",         "dangling",   "out",    "out/x",     "a/back",         "a/back/a",
        "self/self/a", "none",       "none/x", "a/file",    "a/none",         "",
        "/../a",       "//a///b//",  "a/./b",  "a/file/..", "up/../up/a/file"};
    for (const uint64_t resolve :
         {uint64_t(RESOLVE_IN_ROOT), uint64_t(RESOLVE_BENEATH),
          uint64_t(RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS),
          uint64_t(RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS)})
        for (const int flags : {O_PATH, O_PATH | O_DIRECTORY, O_PATH | O_NOFOLLOW, O_RDONLY,
                                O_RDONLY | O_DIRECTORY, O_RDONLY | O_NOFOLLOW, O_WRONLY})
            for (const char* path : paths) {
                open_how how{};
                how.flags = uint64_t(flags | O_CLOEXEC);
                how.resolve = resolve;
                CAPTURE(path, flags, resolve);
                CHECK(outcome(walk(root.get(), path, how)) ==
                      outcome(sys::try_openat2(root.get(), path, how)));
            }
}

TEST_CASE("a walk makes a file inside only") {
    const Tree tree;
    const UniqueFd root = sys::open((tree.path / "root").string(), O_PATH | O_DIRECTORY);
    open_how how{};
    how.flags = O_WRONLY | O_CREAT | O_CLOEXEC;
    how.mode = 0600;
    how.resolve = RESOLVE_IN_ROOT;
    const auto outside = walk(root.get(), "up/outside/made", how);
    CHECK((!outside && outside.error() == ENOENT));
    CHECK(walk(root.get(), "../made", how));
    CHECK(fs::exists(tree.path / "root/made"));
    CHECK(walk(root.get(), "dangling", how));
    CHECK(fs::exists(tree.path / "root/a/none"));
    CHECK(fs::is_empty(tree.path / "outside"));
}
