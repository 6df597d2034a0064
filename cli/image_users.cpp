// Which containers use which images and layers. A container whose settings cannot be read may use
// any: it is named on stderr, and whoever wants to delete something is told that the answer is not
// complete.
#include <algorithm>

#include "base/directory.h"
#include "base/log.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "image/work.h"

namespace {

// Half-made ones have no settings yet, and need nothing that their maker's lease does not name.
template <class Use>
bool for_each_container(const std::string& root, Use&& use) {
    bool complete = true;
    const Containers containers(root);
    for (const std::string& id : names_in_if_exists(root + "/containers")) {
        if (id.size() != 64 || !sys::exists(str(root, "/containers/", id, "/settings.json")))
            continue;
        try {
            if (const auto container = containers.find(id)) use(*container);
        } catch (const Error& e) {
            log_warning(str("what container ", id.substr(0, 12), " uses is not known: ", e.what()));
            complete = false;
        }
    }
    return complete;
}

}  // namespace

ImageUsers image_users(const std::string& root) {
    ImageUsers out;
    out.complete = for_each_container(root, [&](const Container& container) {
        const std::string status = container.state().status;
        out.users.push_back({container.id(), container.settings().image_id,
                             container.settings().image,
                             status == "running" || status == "paused"});
    });
    return out;
}

ContainerLayers layers_in_use(const std::string& root) {
    ContainerLayers out;
    out.complete = for_each_container(root, [&](const Container& container) {
        out.stacks.push_back(layers_of(container.settings()));
    });
    return out;
}

KnownContainers known_containers(const std::string& root) {
    KnownContainers out;
    out.complete = for_each_container(root, [&](const Container& container) {
        out.all.push_back({container, container.state(), layers_of(container.settings())});
    });
    std::ranges::sort(out.all, std::ranges::greater(), [](const KnownContainer& known) {
        return known.container.settings().created;
    });
    return out;
}

ContainerLayers KnownContainers::layers() const {
    ContainerLayers out{.stacks = {}, .complete = complete};
    for (const KnownContainer& known : all) out.stacks.push_back(known.layers);
    return out;
}

void collect_garbage(const Store& store) noexcept {
    attempt("freeing what is not needed",
            [&] { store.gc([&] { return layers_in_use(store.root()); }); });
}
