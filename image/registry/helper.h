// docker-credential-NAME: programs that keep credentials, for docker and podman alike.
#pragma once

#include "image/registry/credentials.h"

// Asked by standard input, never through a shell. Each throws Error if the helper is not there, is
// not done within a minute, or says anything but "not found".
Credentials ask_helper(const std::string& name, const std::string& server);  // empty: not found
void tell_helper(const std::string& name, const std::string& server, const Credentials& what);
bool erase_from_helper(const std::string& name, const std::string& server);
