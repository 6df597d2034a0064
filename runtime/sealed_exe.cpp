#include "runtime/sealed_exe.h"

#include <linux/mount.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "runtime/mounts.h"

namespace {

constexpr int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

bool is_sealed(int exe) {
    struct statvfs fs{};
    if (::fstatvfs(exe, &fs) == 0 && (fs.f_flag & ST_RDONLY) != 0) return true;
    return ::fcntl(exe, F_GET_SEALS) == all_seals;
}

UniqueFd read_only_view(int exe) {
    const int tree = int(::syscall(SYS_open_tree, exe, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
    if (tree < 0) return {};
    UniqueFd view(tree);
    mount_attr wanted{};
    wanted.attr_set = MOUNT_ATTR_RDONLY;
    if (::syscall(SYS_mount_setattr, view.get(), "", AT_EMPTY_PATH, &wanted, sizeof wanted) < 0) return {};
    return view;
}

UniqueFd sealed_copy(int exe) {
    UniqueFd copy(check(::memfd_create("keg-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create"));
    ssize_t done;
    do done = ::sendfile(copy.get(), exe, nullptr, size_t(1) << 30);
    while (done > 0);
    check(done, "copying the runtime");
    check(::fcntl(copy.get(), F_ADD_SEALS, all_seals), "sealing the runtime");
    return copy;
}

}  // namespace

void run_sealed(char** argv) {
    const UniqueFd exe = sys::open("/proc/self/exe", O_RDONLY);
    if (is_sealed(exe.get())) return;
    UniqueFd copy = read_only_view(exe.get());
    if (!copy) copy = sealed_copy(exe.get());
    ::syscall(SYS_execveat, copy.get(), "", argv, ::environ, AT_EMPTY_PATH);
    throw SysError("executing the sealed runtime");
}
