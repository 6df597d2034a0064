// Indexes that are mounted and checked by others than keg. Mounts are detached: no path leads to
// them, and they go with their descriptor.
#pragma once

#include <sys/mman.h>
#include <sys/mount.h>

#include <cstdlib>
#include <limits>

#include "image/layer/erofs_writer.h"
#include "tests/unit/image/layer_stack.h"
#include "tests/unit/scratch.h"

inline std::string index_of(const FileTree& tree) {
    const UniqueFd file(check(::memfd_create("index", MFD_CLOEXEC), "memfd_create"));
    const auto size = write_erofs(tree, file.get());
    if (!size) throw Error("cannot be indexed: ", size.error());
    check(::lseek(file.get(), 0, SEEK_SET), "seek");
    const std::string bytes = sys::read_all(file.get());
    CHECK(bytes.size() == *size);
    return bytes;
}

// An index beside its tars, on a disk: a file in memory cannot be mounted.
struct IndexFiles {
    Scratch scratch;
    std::vector<std::string> tars;
    std::string index = scratch.path + "/index";

    IndexFiles(const std::string& bytes, const Stack& stack) {
        write_file(index, bytes);
        for (const std::string& tar : stack) {
            tars.push_back(str(scratch.path, "/tar", tars.size()));
            std::string filled = tar;
            filled.resize((tar.size() + 511) / 512 * 512);
            write_file(tars.back(), filled);
        }
    }

    // Nothing where the kernel has no EROFS over files, or does not let us.
    std::optional<UniqueFd> mount() const {
        const UniqueFd context(::fsopen("erofs", FSOPEN_CLOEXEC));
        if (context.get() < 0) {
            WARN("skipped: the kernel has no EROFS: " << errno_text(errno));
            return {};
        }
        const auto configure = [&](unsigned command, const char* key, const char* value) {
            return ::fsconfig(context.get(), command, key, value, 0);
        };
        check(configure(FSCONFIG_SET_STRING, "source", index.c_str()), "name ", index);
        for (const std::string& tar : tars)
            check(configure(FSCONFIG_SET_STRING, "device", tar.c_str()), "name ", tar);
        if (configure(FSCONFIG_CMD_CREATE, nullptr, nullptr) < 0) {
            if (errno != ENOTBLK) throw SysError("mount ", index);
            WARN("skipped: the kernel has no EROFS over files");
            return {};
        }
        return UniqueFd(
            check(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY), "fsmount"));
    }

    // What fsck.erofs says about it, "" if nothing is wrong, or if there is no such program. Older
    // ones than 1.9 crash over devices.
    std::string fault() const {
        static const bool is_there = std::system("fsck.erofs --version >/dev/null 2>&1") == 0,
                          takes_devices =
                              std::system("fsck.erofs --version 2>&1 | grep -q ' 1[.]9'") == 0;
        if (!is_there || (!tars.empty() && !takes_devices)) return "";
        std::string command = "fsck.erofs";
        for (const std::string& tar : tars) command += " --device=" + tar;
        command += " " + index + " >" + scratch.path + "/fsck 2>&1";
        return std::system(command.c_str()) == 0 ? "" : read_file(scratch.path + "/fsck");
    }
};

// What is different between a tree and its index, mounted by the kernel.
inline std::string difference_of_mounted(const FileTree& tree, const Stack& stack) {
    const IndexFiles files(index_of(tree), stack);
    if (const std::string said = files.fault(); !said.empty()) return said;
    const auto mounted = files.mount();
    if (!mounted) return "";
    const Listing is = listing_of(sys::proc_fd(mounted->get()) + "/."),
                  should_be = listing_of(tree, stack);
    const std::string fault = difference(is, should_be);
    constexpr time_t never = std::numeric_limits<time_t>::max();
    return fault.empty() ? difference_of_times(is, should_be, never) : fault;
}
