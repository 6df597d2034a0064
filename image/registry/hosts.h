// Which machines are asked for an image, and how each is spoken to: what the administrator has
// written in registries.conf(5) and beside it, and what holds where nothing is written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "image/reference.h"
#include "image/registry/http.h"

// Where a repository is looked for.
struct Place {
    std::string host;  // "quay.io", "localhost:5000"; "registry-1.docker.io" for docker.io
    std::string repository;
    std::string name;  // what it is called in files of credentials: "docker.io/library/alpine"
    Trust trust;
};

class Hosts {
public:
    // Reads the machine's files: $CONTAINERS_REGISTRIES_CONF alone, if it is set, else the user's
    // registries.conf or else the machine's, and registries.conf.d. Throws Error for one that
    // cannot be read.
    static Hosts load();
    // Adds what the text of such a file says; `name` is the file's, for errors.
    void add(std::string_view text, const std::string& name);

    // The mirrors that may have it; last, where it really is. Throws Error for what is blocked.
    std::vector<Place> to_pull(const Reference& image) const;
    Place to_push(const Reference& image) const;

private:
    struct Mirror {
        std::string location;
        bool insecure = false, by_tag = true, by_digest = true;
    };
    struct Rule {
        std::string prefix, location, file;
        bool insecure = false, blocked = false;
        std::vector<Mirror> mirrors;
    };
    const Rule* rule_for(const Reference& image) const;
    static Place place(std::string location, bool insecure);

    std::vector<Rule> rules_;
};

// The certificates for a host that lie in DIRECTORY/HOST: *.crt of authorities, *.cert with its
// *.key to show. Throws Error for one half of a pair.
void add_certificates(Trust& trust, const std::string& directory);
