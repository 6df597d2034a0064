// What can be asked of a Dockerfile before it is built: its stages, and what the stages that a
// target needs take: arguments, secrets, ssh agents. Descriptions are the comments right above,
// which begin with the name.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "builder/language/dockerfile.h"

struct OutlineTarget {
    std::string name;  // "" of a stage without one
    std::string description;
    bool is_default = false;
};
std::vector<OutlineTarget> outline_targets(const Dockerfile& file);

struct OutlineArgument {
    std::string name, value, description;
};
struct OutlineSecret {  // or an ssh agent
    std::string id;
    bool required = false;
};
struct Outline {
    OutlineTarget target;
    std::vector<OutlineArgument> arguments;  // each list in the order of the file
    std::vector<OutlineSecret> secrets, agents;
};
// `target`: a stage's name, "" for the last one. The file must have passed check_statements. Throws
// Error if there is no such stage.
Outline outline_of(const Dockerfile& file, const std::string& target,
                   const std::map<std::string, std::string>& build_args);
