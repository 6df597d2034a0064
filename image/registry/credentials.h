// Who we are to a registry: what `login` of keg, docker, podman or skopeo has written down.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

struct Credentials {
    std::string user, password;
    std::string identity_token;  // in place of a password: what OAuth calls a refresh token

    bool empty() const { return user.empty() && password.empty() && identity_token.empty(); }
};

// What one file says of a repository ("docker.io/library/alpine") or a registry ("quay.io").
struct AuthEntry {
    std::string helper;  // the program docker-credential-HELPER is to be asked
    Credentials credentials;
};
AuthEntry find_entry(const json::Value& file, std::string_view repository);

// The first that is found in $REGISTRY_AUTH_FILE, if that is set, else in podman's files and in
// docker's, as containers-auth.json(5) has it; empty if there is none. Throws Error for a file that
// cannot be read, and for a helper that fails.
Credentials find_credentials(const std::string& repository);

// How docker calls a registry in its files and to helpers: "quay.io",
// "https://index.docker.io/v1/".
std::string server_name(std::string_view registry);

// Into docker's config.json (or $REGISTRY_AUTH_FILE), or to the helper that it names. Gives the
// path of the file, if what was stored can be read there; else "".
std::string store_credentials(const std::string& registry, const Credentials& credentials);
// From the same. Was there anything?
bool erase_credentials(const std::string& registry);
