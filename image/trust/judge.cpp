// What is hard: to verify the bytes that are used, and not others of the same name. The chain's
// digests are those of bytes that were read, and what is fetched later is fetched by them; no tag
// is asked twice. Inside a signature the order is: the key, then what was signed, then the digest,
// then the name. Before the key has verified it, nothing of what it says is looked at.
//
// One good signature is enough, whatever lies beside it: who can write there could otherwise take
// a good one's effect away. Reasons of all that were refused are shown, as many as fit a line.
#include "image/trust/judge.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "image/platform.h"
#include "image/trust/evidence.h"
#include "image/trust/kept.h"

namespace {

constexpr size_t most_reasons = 4, longest_reason = 300;

// A requirement with its keys at hand.
struct Demand {
    Requirement requirement;
    std::vector<PublicKey> keys;
};

std::vector<PublicKey> keys_of(const Requirement& requirement) {
    std::vector<PublicKey> keys;
    for (const std::string& file : requirement.key_files) keys.push_back(PublicKey::read(file));
    for (const std::string& pem : requirement.key_texts)
        keys.push_back(
            context("the key in " + requirement.whose, [&] { return PublicKey::from_pem(pem); }));
    return keys;
}

// "": it is a good one.
std::string problem_with(const Signature& signature, const Demand& demand,
                         const std::string& digest, const std::optional<Reference>& asked) {
    const bool is_verified = std::ranges::any_of(demand.keys, [&](const PublicKey& key) {
        return std::ranges::any_of(signature.signatures, [&](const std::string& each) {
            return key.verifies(signature.bytes, each);
        });
    });
    if (!is_verified) return "cryptographic signature verification failed";
    try {
        const SignedWords claim = read_claim(signature);
        if (std::ranges::find(claim.digests, digest) == claim.digests.end())
            return "it is of " + (claim.digests.empty() ? "nothing" : quoted(claim.digests[0]));
        return identity_problem(demand.requirement.identity, asked, claim.name);
    } catch (const Error& e) {
        return e.what();
    }
}

// Why others were not taken; each reason once, and so many of them as a line has room for.
struct Refusals {
    std::vector<std::string> reasons;
    size_t count = 0;
    void add(std::string reason) {
        if (reason.size() > longest_reason)
            reason = visible(reason.substr(0, longest_reason)) + "…";
        if (std::ranges::find(reasons, reason) != reasons.end()) return;
        if (++count <= most_reasons) reasons.push_back(reason);
    }
};

class Judge {
public:
    Judge(std::vector<Demand> demands, ImageSource& place, Origin origin, Noted noted)
        : demands_(std::move(demands)), place_(place), origin_(std::move(origin)),
          noted_(std::move(noted)) {}

    void accept(const std::vector<spec::Descriptor>& chain) {
        for (const Demand& demand : demands_) check(demand, chain);
    }

private:
    // What costs less is asked first: most signatures have cosign's tag.
    void check(const Demand& demand, const std::vector<spec::Descriptor>& chain) {
        Refusals refusals;
        for (const Beside where : {Beside::by_tag, Beside::as_referrers})
            for (const spec::Descriptor& document : chain)
                if (is_accepted(demand, document, evidence_of(document, where), refusals)) return;
        refuse(demand.requirement, chain, refusals);
    }

    bool is_accepted(const Demand& demand, const spec::Descriptor& document,
                     const Evidence& evidence, Refusals& refusals) {
        for (const Signature& signature : evidence.signatures) {
            const std::string problem =
                problem_with(signature, demand, document.digest, origin_.name);
            if (problem.empty()) {
                if (noted_) noted_(Digest(document.digest), signature);
                return true;
            }
            refusals.add(problem);
        }
        for (const std::string& problem : evidence.problems) refusals.add(problem);
        return false;
    }

    const Evidence& evidence_of(const spec::Descriptor& document, Beside where) {
        const auto [at, is_new] = evidence_.try_emplace({document.digest, where});
        if (is_new)
            at->second = context("signatures of " + document.digest,
                                 [&] { return find_signatures(place_, document, where); });
        return at->second;
    }

    [[noreturn]] void refuse(const Requirement& requirement,
                             const std::vector<spec::Descriptor>& chain,
                             const Refusals& refusals) const {
        std::string looked_at;
        for (const spec::Descriptor& document : chain)
            looked_at += (looked_at.empty() ? "" : " or ") + document.digest;
        const std::string whom = str(origin_.typed, " is rejected by ", requirement.whose, ": ");
        if (refusals.count == 0)
            throw Error(whom, "a signature was required, but no signature exists of ", looked_at);
        throw Error(whom, "no signature of ", looked_at,
                    " was accepted: ", join(refusals.reasons, "; "),
                    refusals.count > most_reasons ? "; …" : "");
    }

    std::vector<Demand> demands_;
    ImageSource& place_;
    Origin origin_;
    Noted noted_;
    std::map<std::pair<std::string, Beside>, Evidence> evidence_;  // each is looked for once
};

}  // namespace

Accept acceptance(const TrustPolicy& policy, ImageSource& place, const Origin& origin,
                  Noted noted) {
    using enum Requirement::Kind;
    std::vector<Demand> demands;
    for (Requirement& requirement : policy.of(origin)) {
        if (requirement.kind == reject)
            throw Error(origin.typed, " is rejected by policy ", requirement.whose);
        if (requirement.kind == unsupported)
            throw Error(origin.typed, " is rejected: policy ", requirement.whose, " asks for ",
                        requirement.unsupported, ", which keg does not support");
        if (requirement.kind == signed_by_key)
            demands.push_back({requirement, keys_of(requirement)});
    }
    if (demands.empty()) return [](const std::vector<spec::Descriptor>&) {};
    const auto judge = std::make_shared<Judge>(std::move(demands), place, origin, std::move(noted));
    return [judge](const std::vector<spec::Descriptor>& chain) { judge->accept(chain); };
}

Noted keep_in(const Store& store) {
    return [&store](const Digest& document, const Signature& signature) {
        keep_signature(store, document, signature);
    };
}

void require_kept_signature(const TrustPolicy& policy, const Store& store, const NamedImage& image,
                            const std::string& platform, const std::string& typed) {
    if (!policy.requires_key()) return;
    KeptSource kept(store, image.descriptor);
    const Accept accept = acceptance(policy, kept, Origin::store(image.name, typed));
    accept(chain_of(kept, platform));
}

std::vector<spec::Descriptor> chain_of(ImageSource& place, const std::string& platform) {
    std::vector<spec::Descriptor> chain = {place.top()};
    for (;;) {
        const std::string text = checked_document(place, chain.back());
        if (!spec::is_index(chain.back().media_type)) return chain;
        if (chain.size() > most_nested_indexes) throw Error("indexes are nested too deep");
        const spec::Index index = spec::read_index(text);
        const spec::Descriptor* const found = find_platform(index, platform);
        if (!found)
            throw Error("no image for platform ", platform.empty() ? host_platform() : platform,
                        " in index ", chain.back().digest);
        chain.push_back(*found);
    }
}
