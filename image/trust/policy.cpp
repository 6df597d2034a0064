// What is hard: a policy that is not understood must not be half obeyed. The file is read to the
// letter: an unknown, repeated or misspelled property, a key that is given twice or not at all, and
// a scope that could never match are errors of the whole file. What the format has and keg has
// not (OpenPGP, Fulcio, Rekor, a PKI) is read, so that a file that speaks of other registries by it
// is of use here, and refuses the images that it is about.
//
// The most special scope has the word, alone; nothing is added from those around it.
#include "image/trust/policy.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace {

constexpr size_t most_policy = size_t(8) << 20;

// --- the file's grammar

// An object of which every property is asked for, or is unknown.
class Members {
public:
    Members(const json::Value& object, std::vector<std::string_view> known) : object_(object) {
        if (!object.is_object()) json::type_error(object, "an object");
        for (const auto& [key, value] : object.items())
            if (std::ranges::find(known, key) == known.end())
                throw Error("unknown key ", quoted(key));
    }
    const json::Value* find(const char* name) const {
        const auto found = object_.find(name);
        return found == object_.end() ? nullptr : &*found;
    }
    // "" if it is not there; null is no text.
    std::string text(const char* name) const {
        const json::Value* const value = find(name);
        if (!value) return "";
        return json::at(name, [&] { return text_in(*value); });
    }
    std::vector<std::string> texts(const char* name) const {
        std::vector<std::string> out;
        const json::Value* const value = find(name);
        if (!value) return out;
        return json::at(name, [&] {
            if (!value->is_array()) json::type_error(*value, "an array");
            if (value->empty()) throw Error("contains no entries");
            for (const json::Value& each : *value) out.push_back(text_in(each));
            return out;
        });
    }

private:
    static std::string text_in(const json::Value& value) {
        if (!value.is_string()) json::type_error(value, "a string");
        std::string out;
        json::read(value, out);
        if (out.empty()) throw Error("is empty");
        return out;
    }
    const json::Value& object_;
};

std::string type_of(const json::Value& object) {
    if (!object.is_object()) json::type_error(object, "an object");
    const auto found = object.find("type");
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string whole_name(const std::string& text) {
    parse_reference(text);
    if (!has_tag_or_digest(text))
        throw Error("dockerReference ", quoted(text), " contains neither a tag nor digest");
    return text;
}

std::string prefix_in(const Members& members, const char* name) {
    const std::string text = members.text(name);
    if (!is_identity_prefix(text)) throw Error("prefix ", quoted(text), " is not valid");
    return text;
}

IdentityRule read_identity(const json::Value& value) {
    using enum IdentityRule::Kind;
    static constexpr std::pair<std::string_view, IdentityRule::Kind> plain[] = {
        {"matchExact", match_exact},
        {"matchRepoDigestOrExact", match_repo_digest_or_exact},
        {"matchRepository", match_repository}};
    const std::string type = type_of(value);
    for (const auto& [name, kind] : plain)
        if (type == name) {
            const Members only(value, {"type"});
            return {.kind = kind};
        }
    if (type == "exactReference") {
        const Members members(value, {"type", "dockerReference"});
        return {.kind = exact_reference, .name = whole_name(members.text("dockerReference"))};
    }
    if (type == "exactRepository") {
        const Members members(value, {"type", "dockerRepository"});
        const std::string name = members.text("dockerRepository");
        parse_reference(name);
        return {.kind = exact_repository, .name = name};
    }
    if (type == "remapIdentity") {
        const Members members(value, {"type", "prefix", "signedPrefix"});
        return {.kind = remap_identity,
                .prefix = prefix_in(members, "prefix"),
                .signed_prefix = prefix_in(members, "signedPrefix")};
    }
    throw Error("unknown policy reference match type ", quoted(type));
}

IdentityRule identity_in(const Members& members) {
    const json::Value* const value = members.find("signedIdentity");
    if (!value || value->is_null()) return {};
    return json::at("signedIdentity", [&] { return read_identity(*value); });
}

std::string key_text(const std::string& base64) {
    auto pem = decode_base64(base64);
    if (!pem) throw Error("illegal base64 data");
    return std::move(*pem);
}

// How many of these are there; the name of the last is put into `found`.
size_t given(const Members& members, std::span<const char* const> names, std::string& found) {
    size_t count = 0;
    for (const char* name : names)
        if (members.find(name)) found = name, ++count;
    return count;
}

Requirement read_sigstore(const json::Value& value) {
    static constexpr const char* keys[] = {"keyPath",  "keyPaths", "keyData",
                                           "keyDatas", "fulcio",   "pki"};
    static constexpr const char* rekor[] = {"rekorPublicKeyPath", "rekorPublicKeyPaths",
                                            "rekorPublicKeyData", "rekorPublicKeyDatas"};
    const Members members(value, {"type", "keyPath", "keyPaths", "keyData", "keyDatas", "fulcio",
                                  "pki", "rekorPublicKeyPath", "rekorPublicKeyPaths",
                                  "rekorPublicKeyData", "rekorPublicKeyDatas", "signedIdentity"});
    std::string by, log;
    if (given(members, keys, by) != 1)
        throw Error("exactly one of keyPath, keyPaths, keyData, keyDatas, fulcio, and pki must be "
                    "specified");
    if (given(members, rekor, log) > 1)
        throw Error(
            "at most one of rekorPublicKeyPath, rekorPublicKeyPaths, rekorPublicKeyData and "
            "rekorPublicKeyDatas must be specified");
    Requirement out{.kind = Requirement::Kind::signed_by_key, .identity = identity_in(members)};
    if (by == "fulcio" || by == "pki" || !log.empty()) {
        out.kind = Requirement::Kind::unsupported;
        out.unsupported = log.empty() ? by : log;
        return out;
    }
    out.key_files = members.texts("keyPaths");
    if (const std::string file = members.text("keyPath"); !file.empty()) out.key_files = {file};
    for (const std::string& data : members.texts("keyDatas"))
        json::at("keyDatas", [&] { out.key_texts.push_back(key_text(data)); });
    if (const std::string data = members.text("keyData"); !data.empty())
        json::at("keyData", [&] { out.key_texts = {key_text(data)}; });
    return out;
}

Requirement read_signed_by(const json::Value& value) {
    const Members members(value,
                          {"type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity"});
    if (const std::string kind = members.text("keyType"); kind != "GPGKeys")
        throw Error("invalid keyType ", quoted(kind));
    identity_in(members);
    return {.kind = Requirement::Kind::unsupported, .unsupported = "signedBy (OpenPGP)"};
}

Requirement read_base_layer(const json::Value& value) {
    const Members members(value, {"type", "baseLayerIdentity"});
    return {.kind = Requirement::Kind::unsupported, .unsupported = "signedBaseLayer"};
}

template <Requirement::Kind kind>
Requirement read_plain(const json::Value& value) {
    const Members only(value, {"type"});
    return {.kind = kind};
}

struct RequirementType {
    std::string_view type;
    Requirement (*read)(const json::Value& value);
};
constexpr RequirementType requirement_types[] = {
    {"insecureAcceptAnything", read_plain<Requirement::Kind::accept>},
    {"reject", read_plain<Requirement::Kind::reject>},
    {"signedBy", read_signed_by},
    {"signedBaseLayer", read_base_layer},
    {"sigstoreSigned", read_sigstore},
};

std::vector<Requirement> read_requirements(const json::Value& value, const std::string& shown) {
    if (!value.is_array() && !value.is_null()) json::type_error(value, "an array");
    if (value.empty()) throw Error("list of verification policy requirements must not be empty");
    std::vector<Requirement> out;
    for (size_t i = 0; i < value.size(); ++i)
        json::at({"", i}, [&] {
            const std::string type = type_of(value[i]);
            const auto* row = std::ranges::find(requirement_types, type, &RequirementType::type);
            if (row == std::end(requirement_types))
                throw Error("unknown policy requirement type ", quoted(type));
            out.push_back(row->read(value[i]));
            out.back().whose = shown;
        });
    return out;
}

// --- scopes

enum class ScopeForm { any, path, none };
struct TransportForm {
    std::string_view name;
    ScopeForm scopes;
};
constexpr TransportForm transport_forms[] = {
    {"oci", ScopeForm::path}, {"oci-archive", ScopeForm::path}, {"dir", ScopeForm::path},
    {"sif", ScopeForm::path}, {"tarball", ScopeForm::none},     {"docker-archive", ScopeForm::none},
};

void check_scope(std::string_view transport, const std::string& scope) {
    const auto* row = std::ranges::find(transport_forms, transport, &TransportForm::name);
    if (row == std::end(transport_forms) || scope.empty()) return;
    const bool is_path = scope.starts_with('/') && scope != "/" &&
                         std::filesystem::path(scope).lexically_normal() == scope &&
                         !scope.ends_with('/');
    if (row->scopes == ScopeForm::none || !is_path)
        throw Error("unknown key ", quoted(scope), ": ",
                    row->scopes == ScopeForm::none ? "only \"\" is a scope of this transport"
                                                   : "expected an absolute path");
}

// "a/b/c", "a/b", "a".
void add_parents(std::vector<std::string>& scopes, std::string name) {
    for (;;) {
        scopes.push_back(name);
        const size_t slash = name.rfind('/');
        if (slash == std::string::npos || slash == 0) return;
        name.resize(slash);
    }
}

// "*.b.example.com", "*.example.com", "*.com" of a.b.example.com:5000.
void add_wildcards(std::vector<std::string>& scopes, std::string_view host) {
    if (host.starts_with('[')) return;
    host = host.substr(0, host.find(':'));
    for (size_t dot = host.find('.'); dot != std::string_view::npos; dot = host.find('.', dot + 1))
        scopes.push_back(str("*", host.substr(dot)));
}

std::string home_of_user() {
    const char* const home = ::getenv("HOME");
    return home ? home : "";
}

std::vector<std::string> places_of_policy() {
    std::vector<std::string> out;
    if (const char* own = ::getenv("XDG_CONFIG_HOME"); own && *own == '/')
        out.push_back(str(own, "/containers/policy.json"));
    else if (const std::string home = home_of_user(); !home.empty())
        out.push_back(home + "/.config/containers/policy.json");
    out.emplace_back("/etc/containers/policy.json");
    out.emplace_back("/usr/share/containers/policy.json");
    return out;
}

}  // namespace

Origin Origin::registry(const Reference& name, std::string typed) {
    Origin out{.transport = "docker", .scopes = {}, .name = name, .typed = std::move(typed)};
    if (!name.digest.empty()) out.scopes.push_back(name.repository() + "@" + name.digest);
    if (!name.tag.empty()) out.scopes.push_back(name.repository() + ":" + name.tag);
    add_parents(out.scopes, name.repository());
    add_wildcards(out.scopes, name.domain);
    return out;
}

Origin Origin::file(std::string transport, const std::string& path, std::string typed) {
    Origin out{
        .transport = std::move(transport), .scopes = {}, .name = {}, .typed = std::move(typed)};
    std::error_code error;
    const auto real = std::filesystem::canonical(path, error);
    if (!path.empty() && !error) add_parents(out.scopes, real.string());
    std::erase(out.scopes, "/");
    return out;
}

Origin Origin::store(const std::optional<Reference>& name, std::string typed) {
    return {.transport = {}, .scopes = {}, .name = name, .typed = std::move(typed)};
}

TrustPolicy TrustPolicy::anything() {
    TrustPolicy policy;
    policy.default_ = {{.kind = Requirement::Kind::accept}};
    return policy;
}

TrustPolicy TrustPolicy::parse(std::string_view text, const std::string& shown) {
    return context("invalid policy in " + quoted(shown), [&] {
        const json::Value document = json::parse(text);
        const Members top(document, {"default", "transports"});
        TrustPolicy policy;
        const json::Value* const fallback = top.find("default");
        if (!fallback) throw Error("default policy is missing");
        json::at("default", [&] { policy.default_ = read_requirements(*fallback, shown); });
        const json::Value* const transports = top.find("transports");
        if (!transports) return policy;
        json::at("transports", [&] {
            if (!transports->is_object()) json::type_error(*transports, "an object");
            for (const auto& [transport, scopes] : transports->items())
                json::at(transport, [&] {
                    if (!scopes.is_object()) json::type_error(scopes, "an object");
                    for (const auto& [scope, value] : scopes.items()) {
                        check_scope(transport, scope);
                        json::at(scope, [&] {
                            policy.transports_[transport][scope] = read_requirements(value, shown);
                        });
                    }
                });
        });
        return policy;
    });
}

TrustPolicy TrustPolicy::load(const std::string& file) {
    if (!file.empty()) return parse(read_file(file, most_policy), file);
    if (const char* const named = ::getenv("CONTAINERS_POLICY_JSON"); named && *named)
        return parse(read_file(named, most_policy), named);
    for (const std::string& place : places_of_policy())
        if (const auto text = read_file_if_exists(place, most_policy)) return parse(*text, place);
    return anything();
}

void TrustPolicy::require_key(const std::string& file) {
    keys_.push_back({.kind = Requirement::Kind::signed_by_key,
                     .key_files = {file},
                     .identity = {.kind = IdentityRule::Kind::repository_if_named},
                     .whose = "key " + file});
}

const TrustPolicy::Requirements& TrustPolicy::listed(const Origin& origin) const {
    const auto transport = transports_.find(origin.transport);
    if (transport == transports_.end()) return default_;
    const auto& scopes = transport->second;
    for (const std::string& scope : origin.scopes)
        if (const auto found = scopes.find(scope); found != scopes.end()) return found->second;
    const auto all = scopes.find("");
    return all == scopes.end() ? default_ : all->second;
}

std::vector<Requirement> TrustPolicy::of(const Origin& origin) const {
    Requirements out;
    if (!origin.transport.empty()) out = listed(origin);
    out.insert(out.end(), keys_.begin(), keys_.end());
    return out;
}
