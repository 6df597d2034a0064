// What images must show to be taken, for the commands that bring them here: the machine's policy,
// or that of --policy, and --verify-key.
#pragma once

#include "base/command_line.h"
#include "image/trust/policy.h"

inline constexpr Option verify_key_option = {
    "verify-key", "FILE", "take only images that this public key has signed, beside the policy"};

// Throws Error for a policy that cannot be read or is wrong, and for a key that is none.
inline TrustPolicy read_trust(const Arguments& globals, const Arguments& args) {
    TrustPolicy policy = TrustPolicy::load(globals.get("policy"));
    for (const std::string& file : args.all("verify-key")) {
        PublicKey::read(file);
        policy.require_key(file);
    }
    return policy;
}
