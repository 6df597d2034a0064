// Whether a registry knows somebody.
#pragma once

#include "image/registry/credentials.h"

// "https://quay.io/v1/" -> "quay.io"; "" is Docker Hub.
std::string registry_of(std::string_view typed);
// Throws Error if it does not, or if what answers is no registry.
void check_login(const std::string& registry, const Credentials& who);
