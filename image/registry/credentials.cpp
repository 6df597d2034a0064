// Two families of tools write these files, each in its own way: podman under a host or a longer and
// longer part of a repository's name, docker under a host or, of old, a URL, and Docker Hub under a
// URL that is nowhere else used. A name is therefore looked up from its longest form to its
// shortest, and Docker Hub under all that it is called.
//
// What others have written in a file stays there: it is read as a document and written as one.
#include "image/registry/credentials.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/base64.h"
#include "base/file.h"
#include "base/sys.h"
#include "image/registry/helper.h"

namespace {

constexpr std::string_view docker_hub = "docker.io";
constexpr std::string_view hub_server = "https://index.docker.io/v1/";
constexpr std::string_view names_of_hub[] = {docker_hub, "index.docker.io", "registry-1.docker.io"};
constexpr size_t most_file = size_t(1) << 20;

std::string host_of(std::string_view name) { return std::string(name.substr(0, name.find('/'))); }

// "https://index.docker.io/v1/" -> "index.docker.io", as docker has written keys in its time.
std::string host_of_key(std::string_view key) {
    for (const std::string_view scheme : {"https://", "http://"})
        if (key.starts_with(scheme)) return host_of(key.substr(scheme.size()));
    return std::string(key);
}

bool is_same_host(std::string_view a, std::string_view b) {
    const auto plain = [](std::string_view host) {
        const bool is_hub = std::ranges::find(names_of_hub, host) != std::end(names_of_hub);
        return is_hub ? docker_hub : host;
    };
    return plain(a) == plain(b);
}

std::string text_in(const json::Value& object, std::string_view key) {
    const auto at = object.is_object() ? object.find(std::string(key)) : object.end();
    return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}
const json::Value& object_in(const json::Value& object, const char* key) {
    static const json::Value none = json::Value::object();
    const auto at = object.is_object() ? object.find(key) : object.end();
    return at != object.end() && at->is_object() ? *at : none;
}

Credentials credentials_in(const json::Value& entry) {
    Credentials out{.user = text_in(entry, "username"),
                    .password = text_in(entry, "password"),
                    .identity_token = text_in(entry, "identitytoken")};
    const std::string both =
        decode_base64(trim(text_in(entry, "auth")), Padding::optional).value_or("");
    if (const size_t colon = both.find(':'); colon != std::string::npos) {
        out.user = both.substr(0, colon);
        out.password = both.substr(colon + 1);
        out.password.erase(std::min(out.password.find('\0'), out.password.size()));
    }
    return out;
}

// By its own name, a part of the repository's, then by what it once was called.
const json::Value* find_auth(const json::Value& auths, std::string_view repository) {
    for (std::string_view name = repository;; name = name.substr(0, name.rfind('/'))) {
        if (const auto at = auths.find(std::string(name)); at != auths.end()) return &*at;
        if (!name.contains('/')) break;
    }
    const std::string host = host_of(repository);
    for (const auto& [key, entry] : auths.items()) {
        const std::string other = host_of_key(key);
        if (!other.contains('/') && is_same_host(other, host)) return &entry;
    }
    return nullptr;
}

// --- which files

std::string variable(const char* name) {
    const char* const value = ::getenv(name);
    return value ? value : "";
}
std::string home() { return variable("HOME"); }

std::string docker_file() {
    const std::string directory = variable("DOCKER_CONFIG");
    return (directory.empty() ? home() + "/.docker" : directory) + "/config.json";
}

std::vector<std::string> files_to_read() {
    if (const std::string named = variable("REGISTRY_AUTH_FILE"); !named.empty()) return {named};
    std::vector<std::string> out;
    if (const std::string run = variable("XDG_RUNTIME_DIR"); !run.empty())
        out.push_back(run + "/containers/auth.json");
    else
        out.push_back(str("/run/containers/", ::geteuid(), "/auth.json"));
    const std::string config = variable("XDG_CONFIG_HOME");
    out.push_back((config.empty() ? home() + "/.config" : config) + "/containers/auth.json");
    out.push_back(docker_file());
    return out;
}
std::string file_to_write() {
    const std::string named = variable("REGISTRY_AUTH_FILE");
    return named.empty() ? docker_file() : named;
}

json::Value read_auth_file(const std::string& path) {
    const auto text = read_file_if_exists(path, most_file);
    if (!text || trim(*text).empty()) return json::Value::object();
    json::Value file = context(path, [&] { return json::parse(*text); });
    if (!file.is_object()) throw Error(path, ": is no object");
    return file;
}

// Its secrets are for its owner alone, and a power cut leaves the old file or the new.
void write_auth_file(const std::string& path, const json::Value& file) {
    sys::make_directories(path.substr(0, path.rfind('/')), 0700);
    replace_file(path, json::dump(file, indent_tabs) + "\n", 0600);
}

// All keys under which that registry is known there.
size_t erase_keys(json::Value& file, std::string_view host) {
    const auto auths = file.find("auths");
    if (auths == file.end() || !auths->is_object()) return 0;
    std::vector<std::string> keys;
    for (const auto& [key, entry] : auths->items())
        if (const std::string other = host_of_key(key);
            !other.contains('/') && is_same_host(other, host))
            keys.push_back(key);
    for (const std::string& key : keys) auths->erase(key);
    return keys.size();
}

}  // namespace

std::string server_name(std::string_view registry) {
    return is_same_host(registry, docker_hub) ? std::string(hub_server) : std::string(registry);
}

AuthEntry find_entry(const json::Value& file, std::string_view repository) {
    const std::string host = host_of(repository);
    for (const auto& [key, helper] : object_in(file, "credHelpers").items())
        if (helper.is_string() && is_same_host(host_of_key(key), host))
            return {.helper = helper.get<std::string>(), .credentials = {}};
    AuthEntry out{.helper = text_in(file, "credsStore"), .credentials = {}};
    if (const json::Value* const found = find_auth(object_in(file, "auths"), repository))
        out.credentials = credentials_in(*found);
    return out;
}

Credentials find_credentials(const std::string& repository) {
    for (const std::string& path : files_to_read()) {
        const AuthEntry entry = find_entry(read_auth_file(path), repository);
        if (!entry.helper.empty())
            if (Credentials kept = ask_helper(entry.helper, server_name(host_of(repository)));
                !kept.empty())
                return kept;
        if (!entry.credentials.empty()) return entry.credentials;
    }
    return {};
}

std::string store_credentials(const std::string& registry, const Credentials& credentials) {
    const std::string path = file_to_write(), server = server_name(registry);
    json::Value file = read_auth_file(path);
    const std::string helper = find_entry(file, registry).helper;
    json::Value entry = json::Value::object();
    if (!helper.empty()) {
        tell_helper(helper, server, credentials);
    } else {
        entry["auth"] = encode_base64(credentials.user + ":" + credentials.password);
        if (!credentials.identity_token.empty())
            entry["identitytoken"] = credentials.identity_token;
    }
    erase_keys(file, registry);
    file["auths"][server] = std::move(entry);
    write_auth_file(path, file);
    return helper.empty() ? path : "";
}

bool erase_credentials(const std::string& registry) {
    const std::string path = file_to_write();
    json::Value file = read_auth_file(path);
    const std::string helper = find_entry(file, registry).helper;
    const bool kept = !helper.empty() && erase_from_helper(helper, server_name(registry));
    const bool written = erase_keys(file, registry) > 0;
    if (written) write_auth_file(path, file);
    return kept || written;
}
