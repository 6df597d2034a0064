// Nobody may take a part of an archive for the whole. So a regular file is written aside and
// appears by a rename; what a rename would replace by a file (a device, a FIFO) is written as it
// is; and standard output is refused if it is a terminal.
#include <cstdio>
#include <cstdlib>

#include "base/defer.h"
#include "base/file.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "image/archive.h"

namespace {

constexpr Option options[] = {
    {"output,o", "FILE", "write there instead of to standard output"},
    {"format,f", "FORMAT", "docker-archive (which is an image layout as well) or oci-archive",
     "docker-archive"},
};

ArchiveFormat parse_format(const std::string& text) {
    if (text == "docker-archive") return ArchiveFormat::docker;
    if (text == "oci-archive") return ArchiveFormat::oci;
    throw Error("unknown format ", quoted(text), "; known are docker-archive, oci-archive");
}

// Nobody sees a part of an archive: it is written to a nameless file (which the kernel frees
// whatever ends us), or, where the file system has none, aside; and renamed when it is whole.
template <class Write>
void write_aside(const std::string& path, Write&& write) {
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

int save(const Arguments& globals, const Arguments& args) {
    const ArchiveFormat format = parse_format(args.get("format"));
    const std::string output = args.get("output");
    if (output.empty() && ::isatty(1))
        throw Error("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    const Store store = open_store(globals);
    const auto write = [&](int fd) { save_archive(store, args.words(), format, fd); };
    struct stat there{};
    if (output.empty())
        write(1);
    else if (::stat(output.c_str(), &there) == 0 && S_ISDIR(there.st_mode))
        throw Error("invalid output path: ", quoted(output), " is a directory");
    else if (::stat(output.c_str(), &there) == 0 && !S_ISREG(there.st_mode))
        write(sys::open(output, O_WRONLY).get());
    else
        write_aside(output, write);
    return 0;
}

}  // namespace

constinit const Command save_command = {
    .name = "save",
    .synopsis = "IMAGE [IMAGE...]",
    .summary = "write images to an archive that docker, podman, skopeo and containerd load",
    .options = options,
    .least = 1,
    .interspersed = true,
    .run = save,
};
