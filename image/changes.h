// Dockerfile instructions that only change an image's config, as `import --change` and `commit
// --change` take them: CMD ENTRYPOINT ENV EXPOSE LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR.
#pragma once

#include <string>

#include "spec/image.h"

// The ports that a word of EXPOSE names: "80", "80/udp", "8000-8010/tcp"; a host's part before is
// dropped.
void expose(spec::ContainerConfig& config, const std::string& word);

// In place of one of that name.
void set_env(spec::ContainerConfig& config, const spec::Variable& variable);

// Throws Error for an instruction that cannot stand there, or that is not well-formed.
void apply_change(spec::ContainerConfig& config, const std::string& instruction);
