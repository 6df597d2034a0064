// The field tables of the image-spec's documents, and where a text becomes a word with a form:
// while it is read, so that an error has the place, and nobody ever holds one that was not looked
// at.
#include "spec/image.h"

#include "base/json.h"
#include "base/log.h"

using json::optional;
using json::required;
using namespace spec;

constexpr size_t most_ports = 3 * 65535;  // all there are, of three protocols

// Go's map[string]struct{}: what counts are the keys.
template <>
struct json::Codec<std::set<Port>> {
    static void read(const Value& v, std::set<Port>& out) {
        size_t named = 0;  // a document of ranges that overlap would take long to read
        for (const std::string& key : json::read<std::set<std::string>>(v)) {
            std::set<Port> ports = parse_ports(key);
            if ((named += ports.size()) > most_ports)
                throw Error("there are more than ", most_ports, " ports");
            out.merge(ports);
        }
    }
    static Value write(const std::set<Port>& v) {
        Value out = Value::object();
        for (const Port& port : v) out[port.text()] = Value::object();
        return out;
    }
    static bool is_empty(const std::set<Port>& v) { return v.empty(); }
};
template <>
struct json::Codec<std::set<ContainerPath>> {
    static void read(const Value& v, std::set<ContainerPath>& out) {
        for (const std::string& key : json::read<std::set<std::string>>(v)) out.emplace(key);
    }
    static Value write(const std::set<ContainerPath>& v) {
        Value out = Value::object();
        for (const ContainerPath& path : v) out[path.written()] = Value::object();
        return out;
    }
    static bool is_empty(const std::set<ContainerPath>& v) { return v.empty(); }
};
// A word without "=" sets nothing. (On Docker's command line it takes a variable away: an image
// must not.)
template <>
struct json::Codec<std::vector<Variable>> {
    static void read(const Value& v, std::vector<Variable>& out) {
        for (std::string& word : json::read<std::vector<std::string>>(v))
            if (Variable::is_one(word)) out.emplace_back(std::move(word));
    }
    static Value write(const std::vector<Variable>& v) {
        Value out = Value::array();
        for (const Variable& variable : v) out.push_back(variable.text());
        return out;
    }
    static bool is_empty(const std::vector<Variable>& v) { return v.empty(); }
};
template <class Word>
struct WordCodec {
    static void read(const json::Value& v, Word& out) { out = Word(json::read<std::string>(v)); }
    static json::Value write(const Word& v) { return v.text(); }
    static bool is_empty(const Word& v) { return v.empty(); }
};
template <>
struct json::Codec<UserName> : WordCodec<UserName> {};
template <>
struct json::Codec<Signal> : WordCodec<Signal> {};
template <>
inline constexpr auto json::fields<Platform> =
    std::tuple(required("architecture", &Platform::architecture), required("os", &Platform::os),
               optional("os.version", &Platform::os_version),
               optional("os.features", &Platform::os_features),
               optional("variant", &Platform::variant));
template <>
inline constexpr auto json::fields<Descriptor> =
    std::tuple(required("mediaType", &Descriptor::media_type),
               required("digest", &Descriptor::digest), required("size", &Descriptor::size),
               optional("urls", &Descriptor::urls),
               optional("annotations", &Descriptor::annotations),
               optional("data", &Descriptor::data), optional("platform", &Descriptor::platform),
               optional("artifactType", &Descriptor::artifact_type));
template <>
inline constexpr auto json::fields<Manifest> =
    std::tuple(required("schemaVersion", &Manifest::schema_version),
               optional("mediaType", &Manifest::media_type),
               optional("artifactType", &Manifest::artifact_type),
               required("config", &Manifest::config), required("layers", &Manifest::layers),
               optional("subject", &Manifest::subject),
               optional("annotations", &Manifest::annotations));
template <>
inline constexpr auto json::fields<Index> = std::tuple(
    required("schemaVersion", &Index::schema_version), optional("mediaType", &Index::media_type),
    optional("artifactType", &Index::artifact_type), required("manifests", &Index::manifests),
    optional("subject", &Index::subject), optional("annotations", &Index::annotations));
template <>
inline constexpr auto json::fields<HealthCheck> =
    std::tuple(optional("Test", &HealthCheck::test), optional("Interval", &HealthCheck::interval),
               optional("Timeout", &HealthCheck::timeout),
               optional("StartPeriod", &HealthCheck::start_period),
               optional("StartInterval", &HealthCheck::start_interval),
               optional("Retries", &HealthCheck::retries));
template <>
inline constexpr auto json::fields<ContainerConfig> = std::tuple(
    optional("User", &ContainerConfig::user),
    optional("ExposedPorts", &ContainerConfig::exposed_ports),
    optional("Env", &ContainerConfig::env), optional("Entrypoint", &ContainerConfig::entrypoint),
    optional("Cmd", &ContainerConfig::cmd), optional("Volumes", &ContainerConfig::volumes),
    optional("WorkingDir", &ContainerConfig::working_dir),
    optional("Labels", &ContainerConfig::labels),
    optional("StopSignal", &ContainerConfig::stop_signal),
    optional("Healthcheck", &ContainerConfig::healthcheck),
    optional("ArgsEscaped", &ContainerConfig::args_escaped),
    optional("OnBuild", &ContainerConfig::on_build), optional("Shell", &ContainerConfig::shell));
template <>
inline constexpr auto json::fields<History> =
    std::tuple(optional("created", &History::created), optional("created_by", &History::created_by),
               optional("author", &History::author), optional("comment", &History::comment),
               optional("empty_layer", &History::empty_layer));
template <>
inline constexpr auto json::fields<RootFsLayers> = std::tuple(
    required("type", &RootFsLayers::type), required("diff_ids", &RootFsLayers::diff_ids));
template <>
inline constexpr auto json::fields<ImageConfig> =
    std::tuple(optional("created", &ImageConfig::created), optional("author", &ImageConfig::author),
               required("architecture", &ImageConfig::architecture),
               optional("variant", &ImageConfig::variant), required("os", &ImageConfig::os),
               optional("os.version", &ImageConfig::os_version),
               optional("os.features", &ImageConfig::os_features),
               optional("config", &ImageConfig::config), required("rootfs", &ImageConfig::rootfs),
               optional("history", &ImageConfig::history));

namespace spec {

namespace {
// One JSON text must not be two documents at once: CVE-2021-41190.
json::Value parse_kind(std::string_view text, const char* kind,
                       std::initializer_list<const char*> foreign) {
    json::Value value = json::parse(text);
    if (!value.is_object()) json::type_error(value, "an object");
    for (const char* key : foreign)
        if (value.contains(key))
            throw Error("is not ", kind, ": it has the property ", quoted(key));
    return value;
}

void check(const Descriptor& descriptor) {
    json::at("digest", [&] { check_digest(descriptor.digest); });
    if (descriptor.size < 0)
        json::at("size", [&] { throw Error("must not be negative, but is ", descriptor.size); });
    if (!descriptor.media_type.empty())
        json::at("mediaType", [&] { check_media_type(descriptor.media_type); });
}

void check_time(const std::string& text) {
    if (!text.empty()) parse_rfc3339(text);
}

// A relative directory begins at "/", as for Docker's builder.
ContainerConfig settled(ContainerConfig config) {
    if (!config.working_dir.empty() && config.working_dir[0] != '/')
        config.working_dir.insert(0, "/");
    return config;
}
}  // namespace

Manifest read_manifest(std::string_view text) {
    auto manifest =
        json::read<Manifest>(parse_kind(text, "an image manifest", {"manifests", "fsLayers"}));
    if (manifest.schema_version != 2)
        throw Error("schemaVersion: must be 2, but is ", manifest.schema_version);
    json::at("config", [&] { check(manifest.config); });
    for (size_t i = 0; i < manifest.layers.size(); ++i)
        json::at({"layers", i}, [&] { check(manifest.layers[i]); });
    if (manifest.subject) json::at("subject", [&] { check(*manifest.subject); });
    return manifest;
}
Index read_index(std::string_view text) {
    auto index =
        json::read<Index>(parse_kind(text, "an image index", {"layers", "config", "fsLayers"}));
    if (index.schema_version != 2)
        throw Error("schemaVersion: must be 2, but is ", index.schema_version);
    for (size_t i = 0; i < index.manifests.size(); ++i)
        json::at({"manifests", i}, [&] { check(index.manifests[i]); });
    if (index.subject) json::at("subject", [&] { check(*index.subject); });
    return index;
}
Descriptor read_descriptor(std::string_view text) {
    auto descriptor = json::from_text<Descriptor>(text);
    check(descriptor);
    return descriptor;
}
ImageConfig read_image_config(std::string_view text) {
    auto config = json::from_text<ImageConfig>(text);
    json::at("architecture", [&] { check_platform_word(config.architecture); });
    json::at("os", [&] { check_platform_word(config.os); });
    json::at("variant", [&] { check_platform_word(config.variant); });
    json::at("created", [&] { check_time(config.created); });
    for (size_t i = 0; i < config.history.size(); ++i)
        json::at(json::Place({"history", i}, "created"),
                 [&] { check_time(config.history[i].created); });
    for (size_t i = 0; i < config.rootfs.diff_ids.size(); ++i)
        json::at({"rootfs.diff_ids", i}, [&] { check_digest(config.rootfs.diff_ids[i]); });
    config.config = settled(std::move(config.config));
    return config;
}
ContainerConfig read_container_config(std::string_view text) {
    return settled(json::from_text<ContainerConfig>(text));
}
std::string write(const Manifest& manifest) { return json::to_text(manifest); }
std::string write(const Descriptor& descriptor) { return json::to_text(descriptor); }
std::string write(const Index& index) { return json::to_text(index); }
std::string write(const ImageConfig& config) { return json::to_text(config); }
std::string write(const ContainerConfig& config, int indent) {
    return json::to_text(config, indent);
}

bool is_layer(std::string_view media_type) {
    const std::string_view known = oci_media_type(media_type);
    return known == media::layer || known == media::layer_gzip || known == media::layer_zstd ||
           is_erofs_layer(media_type);
}

bool is_index(std::string_view media_type) { return oci_media_type(media_type) == media::index; }

bool is_erofs_layer(std::string_view media_type) {
    const std::string_view known = oci_media_type(media_type);
    return known == media::erofs_layer || known == media::erofs_layer_zstd;
}

void check_erofs_role(const Descriptor& layer) {
    const auto role = layer.annotations.find("org.erofs.role");
    if (is_erofs_layer(layer.media_type) && role != layer.annotations.end() &&
        role->second != "overlay-lower")
        throw Error("org.erofs.role is ", quoted(role->second),
                    ", but keg takes EROFS images that stand alone");
}

void check_layers(const Manifest& manifest) {
    for (size_t i = 0; i < manifest.layers.size(); ++i) {
        const std::string& type = manifest.layers[i].media_type;
        if (is_layer(type)) {
            json::at({"layers", i}, [&] { check_erofs_role(manifest.layers[i]); });
            continue;
        }
        throw Error("layers[", i, "].mediaType: ", quoted(type),
                    " is no layer that can be unpacked: expected a tar, plain or compressed with "
                    "gzip or zstd, or an EROFS image, plain or compressed with zstd");
    }
}

std::string_view oci_media_type(std::string_view media_type) {
    static constexpr std::pair<std::string_view, std::string_view> synonyms[] = {
        {media::docker_manifest, media::manifest},
        {media::docker_index, media::index},
        {media::docker_config, media::config},
        {media::docker_layer, media::layer},
        {media::docker_layer_gzip, media::layer_gzip},
        {media::docker_layer_zstd, media::layer_zstd},
        {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", media::layer_gzip},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar", media::layer},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", media::layer_gzip},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", media::layer_zstd},
        {"application/vnd.erofs", media::erofs_layer},
        {"application/vnd.erofs+zstd", media::erofs_layer_zstd},
    };
    for (const auto& [other, oci] : synonyms)
        if (media_type == other || media_type == oci) return oci;
    return {};
}

}  // namespace spec
