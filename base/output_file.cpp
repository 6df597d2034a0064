// Nobody may take a part of an archive for the whole. So a regular file is written aside and
// appears by a rename; what a rename would replace by a file (a device, a FIFO) is written as it
// is; and standard output is refused if it is a terminal.
#include "base/output_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"

// Nobody sees a part of an archive: it is written to a nameless file (which the kernel frees
// whatever ends us), or, where the file system has none, aside; and renamed when it is whole.
static void write_aside(const std::string& path, const std::function<void(int fd)>& write) {
    const size_t slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    std::string aside = path + ".partial-XXXXXX";
    Defer remove([&] { ::unlink(aside.c_str()); });
    if (auto nameless = sys::try_open(directory, O_TMPFILE | O_WRONLY, 0600)) {
        write(nameless->get());
        aside = name_aside(path);
        check(::linkat(AT_FDCWD, sys::proc_fd(nameless->get()).c_str(), AT_FDCWD, aside.c_str(),
                       AT_SYMLINK_FOLLOW),
              "creating ", quoted(aside));
    } else {
        UniqueFd file(check(::mkostemp(aside.data(), O_CLOEXEC), "creating ", quoted(path)));
        write(file.get());
    }
    sys::rename(aside, path);
    remove.keep();
}

OutputFile::OutputFile(std::string path) : path_(std::move(path)) {
    if (path_.empty() && ::isatty(1))
        throw Error("cowardly refusing to save to a terminal. Use the -o flag or redirect");
}

void OutputFile::write(const std::function<void(int fd)>& write) const {
    struct stat there{};
    if (path_.empty()) return write(1);
    const bool exists = ::stat(path_.c_str(), &there) == 0;
    if (exists && S_ISDIR(there.st_mode))
        throw Error("invalid output path: ", quoted(path_), " is a directory");
    if (exists && !S_ISREG(there.st_mode)) return write(sys::open(path_, O_WRONLY).get());
    write_aside(path_, write);
}
