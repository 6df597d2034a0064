// What is hard here: some kernels mount such an index and then, when a reader is killed while a
// page is read, keep a page of zeros for all who come after. Those that do not (7.0 and newer
// stable ones) can be told by what the same change mended: what a tar that is too short lacks is
// an error, and not zeros.
#include "image/index_support.h"

#include <sys/mount.h>
#include <sys/utsname.h>

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sys.h"
#include "image/layer/erofs_writer.h"
#include "image/overlay.h"
#include "image/seals.h"

namespace {

std::string running_kernel() {
    utsname name{};
    check(::uname(&name), "uname");
    return str(name.release, " ", name.version);
}

// One file of 64 KiB, all of them behind the first block of its tar.
FileTree one_file() {
    FileTree tree;
    tree.begin_layer(std::string(64, '0'));
    tree.add({.name = "file", .mode = 0600, .size = 65536, .data_at = tar_block_size});
    tree.end_layer(65536 + tar_block_size);
    return tree;
}

struct Trial {
    std::string index, tar, target, empty;
};

Trial prepare_trial(const std::string& work) {
    const Trial trial{work + "/index", work + "/tar", work + "/target", work + "/empty"};
    const UniqueFd written = sys::open(trial.index, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (const auto size = write_erofs(one_file(), written.get()); !size) throw Error(size.error());
    const UniqueFd short_tar = sys::open(trial.tar, O_WRONLY | O_CREAT | O_EXCL, 0600);
    check(::ftruncate(short_tar.get(), 1024), "truncate ", trial.tar);
    sys::mkdir(trial.target, 0700);
    sys::mkdir(trial.empty, 0700);
    return trial;
}

void try_mount(const Trial& trial) {
    Overlay overlay{.target = trial.target};
    overlay.lowers.push_back(mount_index(trial.index, {&trial.tar, 1}));
    overlay.lowers.push_back({trial.empty});
    mount_overlay(overlay);
    const Defer unmounted([&] { ::umount2(trial.target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW); });
    const UniqueFd file = sys::open(trial.target + "/file", O_RDONLY);
    char bytes[4096];
    if (::pread(file.get(), bytes, sizeof bytes, 32768) >= 0)
        throw Error("it gives zeros for what cannot be read");
}

// ROOT/layers/NAME says whether this kernel has WHAT: what `try_it` says, which is asked once.
bool is_noted(const Store& store, const std::string& name, const std::string& what,
              const std::function<bool(const std::string& work)>& try_it) {
    const std::string note = str(store.root(), "/layers/", name), kernel = running_kernel();
    const std::string yes = str(kernel, "\n", what, "\n"), no = str(kernel, "\nno ", what, "\n");
    if (const auto noted = read_file_if_exists(note, 4096); noted == yes || noted == no)
        return noted == yes;
    const WorkDir work = store.work_dir("try");
    const bool can = try_it(work.path());
    replace_file(note, can ? yes : no, 0600);
    return can;
}

}  // namespace

// A full disk says nothing of the kernel: what fails before a mount is no answer.
bool can_mount_indexes(const Store& store) {
    return is_noted(store, "kernel", "indexes", [](const std::string& work) {
        const Trial trial = prepare_trial(work);
        try {
            try_mount(trial);
            return true;
        } catch (const Error& e) {
            log_debug(str("layers are unpacked: this kernel has no use for an index: ", e.what()));
            return false;
        }
    });
}

bool can_seal(const Store& store) {
    return is_noted(store, "verity", "verity", [](const std::string& work) {
        write_file(work + "/file", "bytes", 0600);
        try {
            enable_verity(work + "/file");
            return true;
        } catch (const SysError& e) {
            if (e.code() == ENOSPC) throw;
            log_debug(str("layers are not guarded: ", e.what()));
            return false;
        }
    });
}
