// Files that go while they are read, locks on files that go while they are waited for, and what
// stays open.
#include "base/file.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"
#include "base/sys.h"
#include "tests/unit/catch.h"
#include "tests/unit/scratch.h"

TEST_CASE("a file of a process that ends before it is read is not there") {
    Child child = clone_process({}, [] { ::_exit(0); }, [](const std::exception&) {});
    const UniqueFd stat = sys::open(str("/proc/", child.pid(), "/stat"), O_RDONLY);
    child.wait();
    CHECK(!read_file_if_exists(sys::proc_fd(stat.get())));
}

TEST_CASE("a lock on a file that was removed while it was waited for is not had") {
    const Scratch scratch;
    const std::string path = scratch.path + "/lock";
    std::optional<FileLock> first(path);
    Child waiter = clone_process(
        {},
        [&] {
            sys::close_from(3, {});  // the first lock is had by whoever has its descriptor
            const FileLock second(path);
            ::_exit(sys::exists(path) ? 0 : 1);
        },
        [](const std::exception&) {});
    // It waits once it is in flock(2); if it came later, nothing would be wrong with it either.
    while (read_file(str("/proc/", waiter.pid(), "/syscall")).find(str(SYS_flock, " ")) != 0) {
    }
    sys::unlink(path);
    first.reset();
    CHECK(waiter.wait().shell() == 0);
}

TEST_CASE("all descriptors but those that are named are closed") {
    const UniqueFd kept = sys::open("/dev/null", O_RDONLY),
                   other = sys::open("/dev/null", O_RDONLY),
                   last = sys::open("/dev/null", O_RDONLY);
    Child child = clone_process(
        {},
        [&] {
            sys::close_from(3, {last.get(), -1, kept.get()});
            const auto is_open = [](const UniqueFd& fd) { return ::fcntl(fd.get(), F_GETFD) >= 0; };
            ::_exit(is_open(kept) && is_open(last) && !is_open(other) ? 0 : 1);
        },
        [](const std::exception&) {});
    CHECK(child.wait().shell() == 0);
}
