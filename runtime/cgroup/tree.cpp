#include "runtime/cgroup/tree.h"

#include <dirent.h>
#include <fcntl.h>

void each_group(const std::string& top, const std::function<void(const TreePlace&)>& visit) {
    walk_tree(AT_FDCWD, top,
              {.meet = [](const TreePlace& at) { return at.type == DT_DIR; },
               .leave =
                   [&](const TreePlace& group) {
                       visit(group);
                       return false;
                   },
               .goes_on = true});
}
