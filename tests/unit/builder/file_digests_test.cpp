// Proves that what is known of a file is given only for that file, as it was.
#include "builder/steps/file_digests.h"

#include <time.h>

#include "base/file.h"
#include "tests/unit/catch.h"
#include "tests/unit/scratch.h"

namespace {

struct stat file_of(ino_t inode, int64_t age_in_seconds) {
    struct stat info{};
    info.st_ino = inode, info.st_dev = 1, info.st_size = 3, info.st_mode = S_IFREG | 0644;
    info.st_ctim.tv_sec = info.st_mtim.tv_sec = ::time(nullptr) - age_in_seconds;
    return info;
}

const FileDigests::Sha256 content = FileDigests::bytes_of(digest_of("abc"));

}  // namespace

TEST_CASE("what is known of a file is known to the next build, unless the file looks other") {
    const Scratch scratch;
    const std::string path = scratch.path + "/files";
    const struct stat info = file_of(7, 100);
    {
        FileDigests known(path);
        known.add(info, content);
        known.save();
    }
    const FileDigests known(path);
    CHECK(known.find(info) == content);
    struct stat other = info;
    other.st_ctim.tv_nsec = 1;
    CHECK_FALSE(known.find(other));
    other = info, other.st_size = 4;
    CHECK_FALSE(known.find(other));
    other = info, other.st_dev = 2;
    CHECK_FALSE(known.find(other));
}

TEST_CASE("nothing is kept of a file that has just changed: it may change again unseen") {
    const Scratch scratch;
    FileDigests known(scratch.path + "/files");
    known.add(file_of(7, 0), content);
    CHECK_FALSE(known.find(file_of(7, 0)));
}

TEST_CASE("a torn file of digests is none") {
    const Scratch scratch;
    const std::string path = scratch.path + "/files";
    FileDigests known(path);
    known.add(file_of(7, 100), content);
    known.save();
    std::string text = read_file(path);
    text[3] = char(text[3] + 1);
    write_file(path, text);
    CHECK_FALSE(FileDigests(path).find(file_of(7, 100)));
    write_file(path, text.substr(0, 20));
    CHECK_FALSE(FileDigests(path).find(file_of(7, 100)));
}
