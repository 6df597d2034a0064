// The volumes of a store as people manage them: `keg volume`. Those that a container made by its
// name, or without one, are volumes, too: what the table knows of a volume besides is its labels.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/container.h"

struct Volume {
    std::string name, created, directory;  // `created` is RFC 3339; `directory` holds the data
    std::map<std::string, std::string> labels;
    bool anonymous = false;
    std::vector<std::string> users;  // the IDs of the containers that have it
};

// By their names.
std::vector<Volume> list_volumes(const Containers& containers);
// Throws "get x: no such volume".
Volume get_volume(const Containers& containers, const std::string& name);
// One that is there already stays as it is. Gives its name, which is a random one for "".
std::string create_volume(const Containers& containers, std::string name,
                          const std::map<std::string, std::string>& labels);
// Throws "remove x: volume is in use - [ID]".
void remove_volume(const Containers& containers, const std::string& name);
