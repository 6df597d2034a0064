#include "base/file.h"

#include <unistd.h>

#include "base/process.h"
#include "base/sys.h"
#include "tests/unit/catch.h"

TEST_CASE("a file of a process that ends before it is read is not there") {
    Child child = clone_process({}, [] { ::_exit(0); }, [](const std::exception&) {});
    const UniqueFd stat = sys::open(str("/proc/", child.pid(), "/stat"), O_RDONLY);
    child.wait();
    CHECK(!read_file_if_exists(sys::proc_fd(stat.get())));
}
