#include "cli/commands.h"
#include "engine/container.h"

std::vector<ImageUser> image_users(const std::string& root) {
    std::vector<ImageUser> out;
    for (const Container& container : Containers(root).list()) {
        const std::string status = container.state().status;
        out.push_back({container.id(), container.settings().image_id, status == "running" || status == "paused"});
    }
    return out;
}

std::vector<std::vector<Digest>> layers_in_use(const Store& store) {
    std::vector<std::vector<Digest>> out;
    for (const Container& container : Containers(store.root()).list()) {
        std::vector<Digest>& layers = out.emplace_back();
        for (const std::string& layer : container.settings().layers) layers.emplace_back(layer);
    }
    return out;
}

void collect_garbage(const Store& store) noexcept {
    attempt("freeing what is not needed", [&] {
        if (FileLock::try_lock(store.root() + "/lock")) store.gc(layers_in_use(store));
    });
}
