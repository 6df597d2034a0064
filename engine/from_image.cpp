// An image may wish for ports and volumes, and that is all that it may: which port of the host's,
// which address, which directory, which volume's name is the user's to say. Its words are typed
// (spec/image_words.h) and turned into settings here, past the languages of -v and -p (options.cpp,
// ports.cpp).
#include "engine/from_image.h"

#include "base/error.h"

void take_from_image(Settings& settings, const spec::ContainerConfig& image) {
    for (const spec::Port& port : image.exposed_ports) settings.exposed_ports.insert(port.text());
    for (const spec::ContainerPath& volume : image.volumes)
        settings.image_volumes.insert(volume.written());
    settings.labels = image.labels;
    settings.labels.erase("");  // says nothing, and is no mistake of the user's
}

void add_image_volumes(Settings& settings, const spec::ContainerConfig& image) {
    std::set<std::string> taken;
    for (const VolumeMount& mount : settings.mounts) taken.insert(mount.destination);
    for (const auto& [destination, options] : settings.tmpfs) taken.insert(destination);
    for (const spec::ContainerPath& volume : image.volumes) {
        const std::string& place = volume.path();
        if (place == "/")
            throw Error("invalid volume specification: ", quoted(volume.written()),
                        ": destination can't be \"/\"");
        if (taken.insert(place).second)
            settings.mounts.push_back({.type = "volume",
                                       .source = random_id(),
                                       .destination = place,
                                       .mode = {},
                                       .anonymous = true});
    }
}

void publish_exposed(Settings& settings, const std::set<spec::Port>& exposed) {
    std::set<std::string> published;
    for (const PortBinding& binding : settings.ports) published.insert(binding.inside());
    for (const spec::Port& port : exposed)
        if (!published.contains(port.text()))
            settings.ports.push_back(
                {.proto = port.protocol(), .host_ip = {}, .container_port = port.number()});
}
