// What images have to show before anything of them is fetched: containers-policy.json(5), which
// podman, skopeo and buildah obey as well, and the keys that were named on the command line.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/reference.h"
#include "image/trust/identity.h"
#include "image/trust/key.h"

// Where an image comes from, as a policy speaks of it.
struct Origin {
    std::string transport;            // "docker", "oci", …; "" for the store, which no policy is of
    std::vector<std::string> scopes;  // the most special first
    std::optional<Reference> name;    // that was asked for
    std::string typed;                // for errors

    static Origin registry(const Reference& name, std::string typed);
    // A file or directory; "" for standard input.
    static Origin file(std::string transport, const std::string& path, std::string typed);
    static Origin store(const std::optional<Reference>& name, std::string typed);
};

// Something that all images of a place must have.
struct Requirement {
    enum class Kind { accept, reject, signed_by_key, unsupported } kind = Kind::reject;
    std::string unsupported = {};             // what it is that keg has not
    std::vector<std::string> key_files = {};  // any of these keys
    std::vector<std::string> key_texts = {};  // in PEM
    IdentityRule identity = {};
    std::string whose = {};  // who asks for it: a file, or an option
};

class TrustPolicy {
public:
    // That file; or, for "", the first there is of $CONTAINERS_POLICY_JSON, the user's
    // ~/.config/containers/policy.json, /etc/containers/policy.json and
    // /usr/share/containers/policy.json; or, if there is none, anything(). Throws Error for one
    // that cannot be read, or that is not as containers-policy.json(5) says to the letter.
    static TrustPolicy load(const std::string& file = {});
    // The text of one, which `shown` has.
    static TrustPolicy parse(std::string_view text, const std::string& shown);
    // Accepts all there is.
    static TrustPolicy anything();

    // From now on all images must be signed by that key as well.
    void require_key(const std::string& file);
    bool requires_key() const { return !keys_.empty(); }

    // All must be met. The store's images were judged when they came: they have to meet keys alone.
    std::vector<Requirement> of(const Origin& origin) const;

private:
    using Requirements = std::vector<Requirement>;
    const Requirements& listed(const Origin& origin) const;
    Requirements default_;
    std::map<std::string, std::map<std::string, Requirements>> transports_;
    Requirements keys_;
};
