// The field tables of the image-spec's documents.
#include "spec/image.h"

#include "base/json.h"

using json::optional;
using json::required;
using namespace spec;

template <> inline constexpr auto json::fields<Platform> = std::tuple(
    required("architecture", &Platform::architecture), required("os", &Platform::os), optional("os.version", &Platform::os_version),
    optional("os.features", &Platform::os_features), optional("variant", &Platform::variant));
template <> inline constexpr auto json::fields<Descriptor> = std::tuple(
    required("mediaType", &Descriptor::media_type), required("digest", &Descriptor::digest), required("size", &Descriptor::size),
    optional("urls", &Descriptor::urls), optional("annotations", &Descriptor::annotations), optional("data", &Descriptor::data),
    optional("platform", &Descriptor::platform), optional("artifactType", &Descriptor::artifact_type));
template <> inline constexpr auto json::fields<Manifest> = std::tuple(
    required("schemaVersion", &Manifest::schema_version), optional("mediaType", &Manifest::media_type),
    optional("artifactType", &Manifest::artifact_type), required("config", &Manifest::config), required("layers", &Manifest::layers),
    optional("subject", &Manifest::subject), optional("annotations", &Manifest::annotations));
template <> inline constexpr auto json::fields<Index> = std::tuple(
    required("schemaVersion", &Index::schema_version), optional("mediaType", &Index::media_type),
    optional("artifactType", &Index::artifact_type), required("manifests", &Index::manifests),
    optional("subject", &Index::subject), optional("annotations", &Index::annotations));
template <> inline constexpr auto json::fields<HealthCheck> = std::tuple(
    optional("Test", &HealthCheck::test), optional("Interval", &HealthCheck::interval), optional("Timeout", &HealthCheck::timeout),
    optional("StartPeriod", &HealthCheck::start_period), optional("StartInterval", &HealthCheck::start_interval), optional("Retries", &HealthCheck::retries));
template <> inline constexpr auto json::fields<ContainerConfig> = std::tuple(
    optional("User", &ContainerConfig::user), optional("ExposedPorts", &ContainerConfig::exposed_ports), optional("Env", &ContainerConfig::env),
    optional("Entrypoint", &ContainerConfig::entrypoint), optional("Cmd", &ContainerConfig::cmd), optional("Volumes", &ContainerConfig::volumes),
    optional("WorkingDir", &ContainerConfig::working_dir), optional("Labels", &ContainerConfig::labels),
    optional("StopSignal", &ContainerConfig::stop_signal), optional("Healthcheck", &ContainerConfig::healthcheck),
    optional("ArgsEscaped", &ContainerConfig::args_escaped), optional("OnBuild", &ContainerConfig::on_build), optional("Shell", &ContainerConfig::shell));
template <> inline constexpr auto json::fields<History> = std::tuple(
    optional("created", &History::created), optional("created_by", &History::created_by), optional("author", &History::author),
    optional("comment", &History::comment), optional("empty_layer", &History::empty_layer));
template <> inline constexpr auto json::fields<RootFsLayers> = std::tuple(required("type", &RootFsLayers::type), required("diff_ids", &RootFsLayers::diff_ids));
template <> inline constexpr auto json::fields<ImageConfig> = std::tuple(
    optional("created", &ImageConfig::created), optional("author", &ImageConfig::author), required("architecture", &ImageConfig::architecture),
    optional("variant", &ImageConfig::variant), required("os", &ImageConfig::os), optional("os.version", &ImageConfig::os_version),
    optional("os.features", &ImageConfig::os_features), optional("config", &ImageConfig::config), required("rootfs", &ImageConfig::rootfs),
    optional("history", &ImageConfig::history));

namespace spec {

namespace {
// One JSON text must not be two documents at once: CVE-2021-41190.
json::Value parse_kind(std::string_view text, const char* kind, std::initializer_list<const char*> foreign) {
    json::Value value = json::parse(text);
    if (!value.is_object()) json::type_error(value, "an object");
    for (const char* key : foreign)
        if (value.contains(key)) throw Error("is not ", kind, ": it has the property ", quoted(key));
    return value;
}
}  // namespace

Manifest read_manifest(std::string_view text) {
    auto manifest = json::read<Manifest>(parse_kind(text, "an image manifest", {"manifests", "fsLayers"}));
    if (manifest.schema_version != 2) throw Error("schemaVersion: must be 2, but is ", manifest.schema_version);
    return manifest;
}
Index read_index(std::string_view text) {
    auto index = json::read<Index>(parse_kind(text, "an image index", {"layers", "config", "fsLayers"}));
    if (index.schema_version != 2) throw Error("schemaVersion: must be 2, but is ", index.schema_version);
    return index;
}
ImageConfig read_image_config(std::string_view text) { return json::from_text<ImageConfig>(text); }
ContainerConfig read_container_config(std::string_view text) { return json::from_text<ContainerConfig>(text); }
std::string write(const Manifest& manifest) { return json::to_text(manifest); }
std::string write(const Index& index) { return json::to_text(index); }
std::string write(const ImageConfig& config) { return json::to_text(config); }
std::string write(const ContainerConfig& config, int indent) { return json::to_text(config, indent); }

std::string_view oci_media_type(std::string_view media_type) {
    static constexpr std::pair<std::string_view, std::string_view> synonyms[] = {
        {media::docker_manifest, media::manifest},     {media::docker_index, media::index},
        {media::docker_config, media::config},         {media::docker_layer, media::layer},
        {media::docker_layer_gzip, media::layer_gzip}, {media::docker_layer_zstd, media::layer_zstd},
        {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", media::layer_gzip},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar", media::layer},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", media::layer_gzip},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", media::layer_zstd},
    };
    for (const auto& [other, oci] : synonyms)
        if (media_type == other || media_type == oci) return oci;
    return {};
}

}  // namespace spec
