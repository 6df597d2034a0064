// Whose name a signature may have: containers-policy.json's "signedIdentity".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "image/reference.h"

// What was asked for, and what was signed, are compared by one of these. In all of them a name is
// taken as its long form: "alpine" is docker.io/library/alpine.
struct IdentityRule {
    enum class Kind {
        match_exact,                 // the same name with the same tag or digest
        match_repo_digest_or_exact,  // the same, or, for what was asked for by digest, the
                                     // repository
        match_repository,            // the same repository
        exact_reference,             // `name`, with its tag or digest
        exact_repository,            // the repository of `name`
        remap_identity,              // as `prefix` is `signed_prefix` there, and then as the second
        repository_if_named,         // of a key on the command line: as cosign signs
    } kind = Kind::match_repo_digest_or_exact;
    std::string name = {}, prefix = {}, signed_prefix = {};
};

// Why a signature that says it is of `signed_name` is none for the image; "" if it is one. Nothing
// for `asked`: the image has no name, as in a directory. Nothing for `signed_name`: a bundle, which
// says no name at all, and stands for rules that ask for no tag (docs/trust.md).
std::string identity_problem(const IdentityRule& rule, const std::optional<Reference>& asked,
                             const std::optional<std::string>& signed_name);

// Is that a registry, a part of one, or a repository, in its long form and without a tag?
bool is_identity_prefix(std::string_view text);
