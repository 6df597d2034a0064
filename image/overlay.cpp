// What is hard here is which kernel takes what. Layers one by one and not as words in one page:
// Linux 6.5. A mount that is nowhere, as a layer: 6.13; before that it must be somewhere for the
// moment, and the one place that is surely free is where the overlay will be.
#include "image/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"

namespace {

void set(int context, const char* key, const std::string& value, std::string_view what) {
    if (::fsconfig(context, FSCONFIG_SET_STRING, key, value.c_str(), 0) < 0)
        throw SysError(what, " ", key, "=", value);
}

void place(int mount, const std::string& target) {
    if (::move_mount(mount, "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0)
        throw SysError("mount on ", target);
}

constexpr const char* safe_options[][2] = {
    {"redirect_dir", "off"}, {"metacopy", "off"}, {"index", "off"}};

// False if this kernel takes no layers one by one.
bool add_directory(int context, const std::string& path) {
    if (::fsconfig(context, FSCONFIG_SET_STRING, "lowerdir+", path.c_str(), 0) == 0) return true;
    if (errno == EINVAL) return false;
    throw SysError("overlay lowerdir+=", path);
}

// Gives whether the mount had to be placed on `target`, from where it is to be taken again.
bool add_mount(int context, int mount, const std::string& target) {
    if (::fsconfig(context, FSCONFIG_SET_FD, "lowerdir+", nullptr, mount) == 0) return false;
    place(mount, target);
    if (!add_directory(context, target)) throw Error("this kernel's overlays take no mount");
    return true;
}

void set_upper(int context, const Overlay& overlay) {
    set(context, "upperdir", overlay.upper, "overlay");
    set(context, "workdir", overlay.work, "overlay");
    for (const auto& [key, value] : safe_options) set(context, key, value, "overlay");
    if (overlay.is_volatile && ::fsconfig(context, FSCONFIG_SET_FLAG, "volatile", nullptr, 0) < 0)
        throw SysError("overlay volatile");
}

// None if this kernel takes no layers one by one.
UniqueFd try_by_layers(const Overlay& overlay) {
    const UniqueFd context(::fsopen("overlay", FSOPEN_CLOEXEC));
    if (!context) return {};
    bool is_placed = false;
    const Defer taken_again([&] {
        if (is_placed) ::umount2(overlay.target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    });
    for (const Lower& lower : overlay.lowers) {
        if (lower.mount)
            is_placed |= add_mount(context.get(), lower.mount.get(), overlay.target);
        else if (!add_directory(context.get(), lower.path))
            return {};
    }
    if (!overlay.upper.empty()) set_upper(context.get(), overlay);
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) {
        if (errno == EINVAL && !is_placed) return {};  // before Linux 6.5 it is said only here
        throw SysError("mount the overlay on ", overlay.target);
    }
    UniqueFd mounted(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
    if (!mounted) throw SysError("mount the overlay on ", overlay.target);
    return mounted;
}

// All options in one page.
void mount_by_words(const Overlay& overlay) {
    std::vector<std::string> paths;
    for (const Lower& lower : overlay.lowers) paths.push_back(lower.path);
    std::string options = "lowerdir=" + join(paths, ":");
    if (!overlay.upper.empty()) {
        options += str(",upperdir=", overlay.upper, ",workdir=", overlay.work);
        for (const auto& [key, value] : safe_options) options += str(",", key, "=", value);
        if (overlay.is_volatile) options += ",volatile";
    }
    if (options.size() >= 4096)
        throw Error(paths.size(),
                    " layers are too many for this kernel's mount options: Linux 6.5 takes more");
    sys::mount("overlay", overlay.target, "overlay", 0, options);
}

}  // namespace

bool may_mount() { return UniqueFd(::fsopen("tmpfs", FSOPEN_CLOEXEC)) || errno != EPERM; }

Lower mount_index(const std::string& index, std::span<const std::string> tars, const Look& look) {
    // By descriptors: a path may have a comma, or be longer than an option.
    std::vector<UniqueFd> files;
    const auto opened = [&](const std::string& path) {
        files.push_back(sys::open(path, O_RDONLY));
        if (look) look(path, files.back().get());
        return sys::proc_fd(files.back().get());
    };
    const UniqueFd context(::fsopen("erofs", FSOPEN_CLOEXEC));
    if (!context) throw SysError("mount ", index, ": erofs");
    set(context.get(), "source", opened(index), "erofs");
    for (const std::string& tar : tars) set(context.get(), "device", opened(tar), "erofs");
    if (::fsconfig(context.get(), FSCONFIG_SET_FLAG, "ro", nullptr, 0) < 0)
        throw SysError("erofs ro");
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
        throw SysError("mount ", index);
    UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY));
    if (!mount) throw SysError("mount ", index);
    std::string path = sys::proc_fd(mount.get());
    return {std::move(path), std::move(mount)};
}

void mount_overlay(const Overlay& overlay) {
    if (const UniqueFd mounted = try_by_layers(overlay))
        place(mounted.get(), overlay.target);
    else
        mount_by_words(overlay);
}
