// A rule is for all names that begin with its prefix, and the longest prefix has the word. "Begin"
// ends where a part of a name ends: a rule for quay.io/a says nothing of quay.io/ab. A file of
// registries.conf.d replaces the rule of the same prefix that was read before, as a whole.
//
// A name that is rewritten keeps its own name in the store; who is asked, and whose credentials are
// used, is the other place's.
#include "image/registry/hosts.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <toml++/toml.h>

#include "base/directory.h"
#include "base/file.h"
#include "base/sys.h"
#include "image/registry/url.h"

namespace {

constexpr size_t most_config = size_t(1) << 20;

// Is `name` the prefix, or does it go on behind a whole part of it?
bool has_prefix(std::string_view name, std::string_view prefix) {
    if (!name.starts_with(prefix)) return false;
    return name.size() == prefix.size() || std::string_view("/:@").contains(name[prefix.size()]);
}

// "*.example.com": any host below it.
bool matches(const Reference& image, std::string_view prefix) {
    if (prefix.starts_with("*.")) return image.domain.ends_with(prefix.substr(1));
    const std::string repository = image.repository();
    return has_prefix(repository, prefix) ||
           (!image.tag.empty() && has_prefix(repository + ":" + image.tag, prefix)) ||
           (!image.digest.empty() && has_prefix(repository + "@" + image.digest, prefix));
}

bool flag(const toml::table& table, std::string_view key) { return table[key].value_or(false); }
std::string text(const toml::table& table, std::string_view key) {
    std::string out = table[key].value_or(std::string());
    while (out.ends_with('/')) out.pop_back();
    return out;
}

const std::string& home_directory() {
    static const std::string home = ::getenv("HOME") ? ::getenv("HOME") : "";
    return home;
}
bool is_ordinary_user() { return ::geteuid() != 0 && !home_directory().empty(); }

std::vector<std::string> certificate_directories() {
    std::vector<std::string> out = {"/etc/containers/certs.d", "/etc/docker/certs.d"};
    if (is_ordinary_user())
        out.insert(out.begin(), home_directory() + "/.config/containers/certs.d");
    return out;
}

}  // namespace

void Hosts::add(std::string_view content, const std::string& name) {
    toml::table file;
    try {
        file = toml::parse(content, name);
    } catch (const toml::parse_error& e) {
        throw Error(name, ":", e.source().begin.line, ": ", e.description());
    }
    const toml::array* const registries = file["registry"].as_array();
    if (!registries) return;
    for (const toml::node& node : *registries) {
        if (!node.is_table()) throw Error(name, ": registry is no table");
        const toml::table& table = *node.as_table();
        Rule rule{.prefix = text(table, "prefix"),
                  .location = text(table, "location"),
                  .file = name,
                  .insecure = flag(table, "insecure"),
                  .blocked = flag(table, "blocked")};
        if (rule.prefix.empty()) rule.prefix = rule.location;
        if (rule.prefix.empty()) throw Error(name, ": a registry has neither prefix nor location");
        const bool by_digest_only = flag(table, "mirror-by-digest-only");
        if (const toml::array* const mirrors = table["mirror"].as_array())
            for (const toml::node& each : *mirrors) {
                if (!each.is_table() || text(*each.as_table(), "location").empty())
                    throw Error(name, ": a mirror of ", rule.prefix, " has no location");
                const std::string use = text(*each.as_table(), "pull-from-mirror");
                rule.mirrors.push_back({.location = text(*each.as_table(), "location"),
                                        .insecure = flag(*each.as_table(), "insecure"),
                                        .by_tag = !by_digest_only && use != "digest-only",
                                        .by_digest = use != "tag-only"});
            }
        std::erase_if(rules_, [&](const Rule& old) { return old.prefix == rule.prefix; });
        rules_.push_back(std::move(rule));
    }
}

Hosts Hosts::load() {
    Hosts hosts;
    const auto add_if_exists = [&](const std::string& path) {
        const auto content = read_file_if_exists(path, most_config);
        if (content) hosts.add(*content, path);
        return content.has_value();
    };
    if (const char* const named = ::getenv("CONTAINERS_REGISTRIES_CONF"); named && *named) {
        hosts.add(read_file(named, most_config), named);
        return hosts;
    }
    const std::string own = home_directory() + "/.config/containers/registries.conf";
    const std::string machine = "/etc/containers/registries.conf";
    if (!is_ordinary_user() || !add_if_exists(own)) add_if_exists(machine);
    for (const std::string& file : {machine, own}) {
        if (file == own && !is_ordinary_user()) continue;
        std::vector<std::string> names = names_in_if_exists(file + ".d");
        std::ranges::sort(names);
        for (const std::string& name : names)
            if (name.ends_with(".conf")) add_if_exists(file + ".d/" + name);
    }
    return hosts;
}

const Hosts::Rule* Hosts::rule_for(const Reference& image) const {
    const Rule* best = nullptr;
    for (const Rule& rule : rules_)
        if (matches(image, rule.prefix) && (!best || rule.prefix.size() > best->prefix.size()))
            best = &rule;
    if (best && best->blocked)
        throw Error("registry ", best->prefix, " is blocked in ", best->file);
    return best;
}

Place Hosts::place(std::string location, bool insecure) {
    Place out{.host = location.substr(0, location.find('/')), .repository = {}, .name = location};
    if (out.host.size() < location.size()) out.repository = location.substr(out.host.size() + 1);
    // Registries on this machine often speak plain HTTP; nobody listens on the way there.
    out.trust.plain_http = insecure || is_loopback(out.host);
    out.trust.unverified = insecure;
    for (const std::string& directory : certificate_directories())
        add_certificates(out.trust, directory + "/" + out.host);
    if (out.host == "docker.io") out.host = "registry-1.docker.io";
    return out;
}

std::vector<Place> Hosts::to_pull(const Reference& image) const {
    const Rule* const rule = rule_for(image);
    const std::string name = image.repository();
    // What of the name is behind the prefix; a prefix with a tag or a wildcard rewrites nothing.
    const auto moved = [&](const std::string& location) {
        const bool is_rewritten = !location.empty() && has_prefix(name, rule->prefix);
        return is_rewritten ? location + name.substr(rule->prefix.size()) : name;
    };
    std::vector<Place> out;
    if (rule)
        for (const Mirror& mirror : rule->mirrors)
            if (image.digest.empty() ? mirror.by_tag : mirror.by_digest)
                out.push_back(place(moved(mirror.location), mirror.insecure));
    out.push_back(rule ? place(moved(rule->location), rule->insecure) : place(name, false));
    return out;
}

Place Hosts::to_push(const Reference& image) const { return to_pull(image).back(); }

void add_certificates(Trust& trust, const std::string& directory) {
    const std::vector<std::string> names = names_in_if_exists(directory);
    const auto is_there = [&](const std::string& name) {
        return std::ranges::find(names, name) != names.end();
    };
    for (const std::string& name : names) {
        const std::string stem = name.substr(0, name.rfind('.'));
        if (name.ends_with(".crt")) {
            trust.authorities += read_file(directory + "/" + name, most_config) + "\n";
        } else if (name.ends_with(".cert")) {
            if (!is_there(stem + ".key"))
                throw Error("missing key ", stem, ".key for client certificate ", name,
                            ". CA certificates must use the extension .crt");
            trust.certificate = directory + "/" + name;
            trust.key = directory + "/" + stem + ".key";
        } else if (name.ends_with(".key") && !is_there(stem + ".cert")) {
            throw Error("missing client certificate ", stem, ".cert for key ", name);
        }
    }
}
