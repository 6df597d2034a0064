// What overlayfs keeps in the upper directory is more than what the container did: directories are
// copied up for what is in them, and a start leaves traces (traces.h).
#include "engine/diff.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/root.h"
#include "base/sys.h"
#include "base/tree_walk.h"
#include "engine/container_root.h"
#include "engine/traces.h"
#include "image/snapshots.h"

// The upper directory says it all: what is in it was written, and overlayfs marks what was removed.
static std::vector<FileChange> changes_in(const Root& upper, const Root& below,
                                          const std::set<std::string>& but) {
    std::vector<FileChange> out;
    walk_tree(upper.fd(), ".", {.meet = [&](const TreePlace& at) {
                  const std::string path = at.path(), inside = path.substr(1);
                  if (but.contains(inside)) return false;
                  struct stat info{};
                  if (::fstatat(at.parent, at.name, &info, AT_SYMLINK_NOFOLLOW) < 0) return false;
                  const bool gone = S_ISCHR(info.st_mode) && info.st_rdev == 0;
                  const bool was = below.open_if_exists(inside, O_PATH | O_NOFOLLOW).has_value();
                  if (!gone || was) out.push_back({gone ? 'D' : was ? 'C' : 'A', path});
                  return S_ISDIR(info.st_mode);
              }});
    std::ranges::sort(out, {}, &FileChange::path);
    return out;
}

std::vector<FileChange> changes_of(const Containers& containers, const Container& container) {
    std::vector<FileChange> out;
    with_root_of(containers, container, [&](const std::string& rootfs) {
        const Store store(containers.store_root());
        const WorkDir work = store.work_dir("diff");
        const Mounted image(Snapshots(store), {.layers = layers_of(container.settings()),
                                               .target = work.path() + "/image"});
        const Root upper(container.file("upper")), below(image.path());
        out = changes_in(upper, below, traces_of_starts(container, Root(rootfs), upper, below));
    });
    return out;
}
