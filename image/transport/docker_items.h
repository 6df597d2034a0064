// manifest.json of Docker's archives: a list of images, each by the paths of its files.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

struct DockerItem {
    std::string config;
    std::vector<std::string> tags, layers;
};
template <>
inline constexpr auto json::fields<DockerItem> =
    std::tuple(json::required("Config", &DockerItem::config),
               json::required("RepoTags", &DockerItem::tags),
               json::required("Layers", &DockerItem::layers));
