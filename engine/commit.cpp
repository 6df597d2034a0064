// What the container changed is a layer, but for the traces of its starts (traces.cpp), which are
// no doing of its own and must not be in its image. Its settings become the image's config.
#include "engine/commit.h"

#include "base/error.h"
#include "base/log.h"
#include "base/process.h"
#include "base/root.h"
#include "engine/container_root.h"
#include "engine/lifecycle.h"
#include "engine/traces.h"
#include "image/changes.h"
#include "image/derive.h"

namespace {

Snapshots::NewLayer layer_of(const Container& container, const Store& store,
                             const std::string& rootfs) {
    const Snapshots snapshots(store);
    const std::vector<Digest> layers = layers_of(container.settings());
    const WorkDir work = store.work_dir("commit");
    const Mounted image(snapshots, {.layers = layers, .target = work.path() + "/image"});
    const std::string upper = container.file("upper");
    return snapshots.copy(
        upper, layers, traces_of_starts(container, Root(rootfs), Root(upper), Root(image.path())));
}

// As the container was told to be.
void take_settings(spec::ContainerConfig& config, const Settings& settings) {
    const auto if_any = [](const std::vector<std::string>& words) {
        return words.empty() ? std::nullopt : std::optional(words);
    };
    config.entrypoint = if_any(settings.entrypoint);
    config.cmd = if_any(settings.cmd);
    config.env.clear();
    for (const std::string& word : settings.env)
        if (spec::Variable::is_one(word)) config.env.emplace_back(word);
    config.user = settings.user;
    config.working_dir = settings.working_dir;
    config.labels = settings.labels;
    config.exposed_ports.clear();
    for (const std::string& port : settings.exposed_ports)
        config.exposed_ports.merge(spec::parse_ports(port));
    config.volumes.clear();
    for (const std::string& volume : settings.image_volumes) config.volumes.emplace(volume);
    config.stop_signal = spec::Signal(settings.stop_signal);
}

Image image_of(const Container& container, const Store& store) {
    const auto found = store.find(container.settings().image_id);
    if (!found)
        throw Error("the image of container ", quoted(container.settings().name),
                    " is not there any more: ", container.settings().image_id);
    return store.load(found->descriptor);
}

// Goes on when it was read, if it was not paused before: also if this command is killed meanwhile.
class Pause {
public:
    Pause(const Containers& containers, const Container& container)
        : containers_(containers), container_(container) {
        if (container.state().status != "running") return;
        guard_ = after_our_end([&] { resume_if_frozen(containers, container); });
        pause_container(containers, container);
        paused_ = true;
    }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;
    ~Pause() {
        if (paused_)
            attempt("letting the container go on",
                    [&] { resume_container(containers_, container_); });
    }

private:
    const Containers& containers_;
    const Container& container_;
    Child guard_;
    bool paused_ = false;
};

}  // namespace

Image commit_container(const Containers& containers, const Container& container, const Store& store,
                       const std::optional<Reference>& name, const CommitOptions& options) {
    Image image = image_of(container, store);
    image.config.created = rfc3339_now();
    image.config.author = options.author;
    take_settings(image.config.config, container.settings());
    for (const std::string& change : options.changes) apply_change(image.config.config, change);

    Snapshots::NewLayer layer;
    with_root_of(containers, container, [&](const std::string& rootfs) {
        std::optional<Pause> paused;
        if (options.pause) paused.emplace(containers, container);
        layer = layer_of(container, store, rootfs);
    });
    add_layer(image, layer,
              {.created = image.config.created,
               .author = options.author,
               .created_by = join(arguments(container.settings()), " "),
               .comment = options.message});
    return publish(store, std::move(image), name);
}
