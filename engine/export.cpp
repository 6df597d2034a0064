#include "engine/export.h"

#include "engine/container_root.h"
#include "image/layer/diff.h"

void export_container(const Containers& containers, const Container& container,
                      const std::function<void(std::string_view)>& sink) {
    with_root_of(containers, container,
                 [&](const std::string& rootfs) { write_layer(rootfs, sink); });
}
