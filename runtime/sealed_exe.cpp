// Never let a container reach the host's binary: a program of the container that is, or is
// interpreted by, /proc/self/exe would run the runtime's file and could then write to it
// (CVE-2019-5736). So what enters a container runs from a copy that cannot be written: the same
// file through a detached read-only mount, or, without the right to mount, a sealed memfd. The
// program executes itself again from there.
//
// The program knows that it runs from there by what only such a copy is. The mount of the view lies
// nowhere: its root, which is the file itself, has no path but "/". (An ordinary mount that happens
// to be read-only, of a host with a read-only /usr, is no view: its owner makes it writable for an
// update, and everybody who has the file open with it.) The memfd has seals that cannot be taken
// off.
//
// That first execution is pure cost, so it ends before libc begins: the linker takes `keg_entry`
// for the entry point, which seals and executes, or goes on to libc's own `_start`. (libc's
// initialisation asks the processor about itself some thirty times, which under a hypervisor is
// half a millisecond.) Hence nothing of libc may be used here: no errno, no stack protector, no
// memcpy; system calls are made by hand. CMakeLists.txt compiles this file accordingly.
#include <elf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <linux/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <cstddef>

#include "runtime/process/raw_call.h"

namespace {

#if defined(__x86_64__)
// The stack is as the kernel left it: argc, argv, 0, environ, 0. rdx is for _start.
asm(R"(
    .globl keg_entry
keg_entry:
    mov %rsp, %rdi
    push %rdx
    sub $8, %rsp
    call keg_seal
    add $8, %rsp
    pop %rdx
    jmp _start
)");
#elif defined(__aarch64__)
asm(R"(
    .globl keg_entry
keg_entry:
    stp x0, x30, [sp, #-16]!
    add x0, sp, #16
    bl keg_seal
    ldp x0, x30, [sp], #16
    b _start
)");
#endif

long pointer(const void* p) { return reinterpret_cast<long>(p); }

bool equal(const char* a, const char* b) {
    while (*a && *a == *b) ++a, ++b;
    return *a == *b;
}

// Any word: an option's value that happens to be "run" costs an execution, and no more.
bool enters_container(char** argv) {
    static constexpr const char* names[] = {"create", "run", "exec", "restore"};
    for (char** word = argv; *word; ++word)
        for (const char* name : names)
            if (equal(*word, name)) return true;
    return false;
}

constexpr long all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

constexpr const char* own_exe = "/proc/self/exe";

bool is_read_only_view(const char* path, long length) {
    if (length != 1 || path[0] != '/') return false;
    struct statfs fs;
    return raw_call(SYS_statfs, pointer(own_exe), pointer(&fs)) == 0 &&
           (fs.f_flags & ST_RDONLY) != 0;
}

bool is_sealed_memory(const char* path, long length) {
    constexpr char named[] = "/memfd:";
    if (length < long(sizeof named)) return false;
    for (size_t i = 0; i < sizeof named - 1; ++i)
        if (path[i] != named[i]) return false;
    const long exe = raw_call(SYS_openat, AT_FDCWD, pointer(own_exe), O_RDONLY | O_CLOEXEC);
    const long seals = raw_call(SYS_fcntl, exe, F_GET_SEALS);
    raw_call(SYS_close, exe);
    return seals == all_seals;
}

bool is_sealed() {
    char path[64];  // cut if it is longer
    const long length =
        raw_call(SYS_readlinkat, AT_FDCWD, pointer(own_exe), pointer(path), sizeof path);
    return is_read_only_view(path, length) || is_sealed_memory(path, length);
}

long read_only_view(long exe) {
    const long view = raw_call(SYS_open_tree, exe, pointer(""),
                               OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (view < 0) return view;
    const mount_attr wanted{MOUNT_ATTR_RDONLY, 0, 0, 0};
    const long failed = raw_call(SYS_mount_setattr, view, pointer(""), AT_EMPTY_PATH,
                                 pointer(&wanted), sizeof wanted);
    return failed < 0 ? failed : view;
}

long sealed_copy(long exe) {
    const long copy =
        raw_call(SYS_memfd_create, pointer("keg-runtime"), MFD_CLOEXEC | MFD_ALLOW_SEALING);
    long done = copy;
    while (done > 0) done = raw_call(SYS_sendfile, copy, exe, 0, 1 << 30);
    if (done >= 0) done = raw_call(SYS_fcntl, copy, F_ADD_SEALS, all_seals);
    return done < 0 ? done : copy;
}

}  // namespace

// stack: argc, the words of the command line, 0, the environment, 0.
extern "C" void keg_seal(long* stack) {
    auto** argv = reinterpret_cast<char**>(stack + 1);
    if (!enters_container(argv)) return;
    if (is_sealed()) return;
    const long exe = raw_call(SYS_openat, AT_FDCWD, pointer(own_exe), O_RDONLY | O_CLOEXEC);
    long copy = read_only_view(exe);
    if (copy < 0) copy = sealed_copy(exe);
    char** environment = argv + *stack + 1;
    raw_call(SYS_execveat, copy, pointer(""), pointer(argv), pointer(environment), AT_EMPTY_PATH);
    constexpr char failed[] =
        "keg-runtime cannot execute a sealed copy of itself: is /proc mounted?\n";
    raw_call(SYS_write, 2, pointer(failed), sizeof failed - 1);
    raw_call(SYS_exit_group, 1);
}
