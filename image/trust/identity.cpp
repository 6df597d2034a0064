// What is hard: the rules were made for what podman signs, a whole name with its tag; cosign signs
// the repository alone, and in its bundles nothing. A rule that asks for a tag refuses both, in
// words that say what to write instead, for nobody finds that out otherwise. A rule that asks for
// a repository takes a bundle for the digest's sake, which is what cosign itself does.
#include "image/trust/identity.h"

#include "base/error.h"
#include "image/digest.h"

namespace {

bool asks_for_tag(IdentityRule::Kind kind) {
    using enum IdentityRule::Kind;
    return kind != match_repository && kind != exact_repository && kind != repository_if_named;
}

std::string not_accepted(const std::string& signed_name, const std::string& expected) {
    return str("it is for ", quoted(signed_name), ", but must be for ", quoted(expected));
}

// With `signed_prefix` in place of `prefix`, if it begins with it.
Reference remapped(const IdentityRule& rule, const Reference& asked) {
    const std::string name = asked.repository();
    const bool is_below = name == rule.prefix || name.starts_with(rule.prefix + "/");
    if (!is_below) return asked;
    const std::string other = rule.signed_prefix + name.substr(rule.prefix.size());
    Reference out = parse_reference(other);
    if (out.repository() != other) throw Error(quoted(other), " is no repository");
    out.tag = asked.tag, out.digest = asked.digest;
    return out;
}

// The name that a rule expects, or nothing if the image has none to begin with.
std::optional<Reference> expected_name(const IdentityRule& rule,
                                       const std::optional<Reference>& asked) {
    using enum IdentityRule::Kind;
    if (rule.kind == exact_reference || rule.kind == exact_repository)
        return parse_reference(rule.name);
    if (rule.kind == remap_identity && asked) return remapped(rule, *asked);
    return asked;
}

std::string problem_of(const IdentityRule& rule, const Reference& expected,
                       const std::string& signed_name) {
    const Reference name = parse_reference(signed_name);
    if (!asks_for_tag(rule.kind))
        return name.repository() == expected.repository()
                   ? ""
                   : not_accepted(signed_name, expected.repository());
    if (!has_tag_or_digest(signed_name))
        return str("it is for ", quoted(signed_name),
                   " without a tag, as cosign signs, but the policy asks for one (say "
                   "\"signedIdentity\": {\"type\": \"matchRepository\"} to take it)");
    using enum IdentityRule::Kind;
    const bool may_differ = rule.kind == match_repo_digest_or_exact || rule.kind == remap_identity;
    if (may_differ && !expected.digest.empty() && name.repository() == expected.repository())
        return "";
    return name.canonical() == expected.canonical()
               ? ""
               : not_accepted(signed_name, expected.canonical());
}

}  // namespace

std::string identity_problem(const IdentityRule& rule, const std::optional<Reference>& asked,
                             const std::optional<std::string>& signed_name) {
    const auto expected = expected_name(rule, asked);
    if (!expected && rule.kind == IdentityRule::Kind::repository_if_named) return "";
    if (!expected) return "the image has no name here that the policy could compare";
    if (!signed_name)
        return asks_for_tag(rule.kind)
                   ? "it is a bundle, which says no name, but the policy asks for one (say "
                     "\"signedIdentity\": {\"type\": \"matchRepository\"} to take it)"
                   : "";
    try {
        return problem_of(rule, *expected, *signed_name);
    } catch (const Error& e) {
        return str("it is for ", quoted(*signed_name), ", which is no name: ", e.what());
    }
}

bool is_identity_prefix(std::string_view text) {
    if (text.find('@') != std::string_view::npos) return false;
    try {
        return parse_reference(str(text, "/x")).repository() == str(text, "/x");
    } catch (const Error&) {
        return false;
    }
}
