// The documents of the OCI image-spec 1.1, and Docker's schema 2, whose fields are the same under
// other media types. Digests are of bytes as received, never of a struct written again: keep the
// text.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "spec/image_words.h"

namespace spec {

namespace media {
inline constexpr std::string_view manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view layer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view layer_gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view layer_zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view erofs_layer = "application/vnd.erofs.layer.v1";
inline constexpr std::string_view erofs_layer_zstd = "application/vnd.erofs.layer.v1+zstd";
inline constexpr std::string_view docker_manifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_index =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_config = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view docker_layer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view docker_layer_gzip =
    "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view docker_layer_zstd =
    "application/vnd.docker.image.rootfs.diff.tar.zstd";
}  // namespace media

using StringMap = std::map<std::string, std::string>;

struct Platform {
    std::string architecture, os, os_version;
    std::vector<std::string> os_features;
    std::string variant;
};
struct Descriptor {
    std::string media_type, digest;
    int64_t size = 0;
    std::vector<std::string> urls;
    StringMap annotations;
    std::string data;  // base64, as in the document
    std::optional<Platform> platform;
    std::string artifact_type;
};
struct Manifest {
    int schema_version = 2;
    std::string media_type, artifact_type;
    Descriptor config;
    std::vector<Descriptor> layers;
    std::optional<Descriptor> subject;
    StringMap annotations;
};
struct Index {
    int schema_version = 2;
    std::string media_type, artifact_type;
    std::vector<Descriptor> manifests;
    std::optional<Descriptor> subject;
    StringMap annotations;
};

struct HealthCheck {
    std::vector<std::string> test;
    int64_t interval = 0, timeout = 0, start_period = 0, start_interval = 0;  // nanoseconds
    int retries = 0;
};
// `config` of an image: what a container starts with. Docker's additions included. What it says is
// a stranger's word: see image_words.h.
struct ContainerConfig {
    UserName user;
    std::set<Port> exposed_ports;
    std::vector<Variable> env;
    std::optional<std::vector<std::string>> entrypoint, cmd;  // absent and [] differ for Docker
    std::set<ContainerPath> volumes;
    std::string working_dir;  // "" or absolute
    StringMap labels;         // any text
    Signal stop_signal;
    std::optional<HealthCheck> healthcheck;
    std::vector<std::string> on_build, shell;
    bool args_escaped = false;
};
struct History {
    std::string created, author, created_by, comment;
    bool empty_layer = false;
};
struct RootFsLayers {
    std::string type = "layers";
    std::vector<std::string> diff_ids;
};
struct ImageConfig {
    std::string created, author, architecture, os, os_version;
    std::vector<std::string> os_features;
    std::string variant;
    ContainerConfig config;
    RootFsLayers rootfs;
    std::vector<History> history;
};

// Each throws Error with the path in the document ("config: Volumes: …") for a word that has not
// its form; read_manifest and read_index also refuse what is the other kind (a document with both
// "layers"/"config" and "manifests": CVE-2021-41190).
Manifest read_manifest(std::string_view text);
Index read_index(std::string_view text);
Descriptor read_descriptor(std::string_view text);  // one of an index, by itself
ImageConfig read_image_config(std::string_view text);
ContainerConfig read_container_config(std::string_view text);
std::string write(const Manifest& manifest);
std::string write(const Descriptor& descriptor);
std::string write(const Index& index);
std::string write(const ImageConfig& config);
std::string write(const ContainerConfig& config, int indent = -1);

// Throws Error for an image with a layer that is no tar (plain or by gzip or zstd) and no EROFS
// image (plain or by zstd): read as a tar, a layer of another kind may be an empty archive, and the
// image would be empty without a word.
void check_layers(const Manifest& manifest);
// Is it the type of an index, OCI's or Docker's?
bool is_index(std::string_view media_type);
// Is it the type of a layer that can be unpacked?
bool is_layer(std::string_view media_type);
// Of one that is an EROFS image?
bool is_erofs_layer(std::string_view media_type);
// Throws Error for an EROFS image that is no layer by itself, but a part of one.
void check_erofs_role(const Descriptor& layer);

// The OCI name of a Docker or OCI media type ("" if it is neither): the two are synonyms here, and
// so are the two names that EROFS images have.
std::string_view oci_media_type(std::string_view media_type);

}  // namespace spec
