// What may be meant otherwise in a Dockerfile that can be built: BuildKit's checks, without a
// build.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "builder/language/dockerfile.h"
#include "builder/language/ignore.h"
#include "builder/language/lint_rules.h"
#include "spec/image.h"

struct LintFacts {
    std::map<std::string, std::string> build_args;
    std::string platform;  // "linux/amd64": this machine's, and what is built for
    // What is known of an image, without asking anybody far away. Of a base that is not known it is
    // not said which variables it has.
    std::function<std::optional<spec::ImageConfig>(const std::string& name)> image;
    const IgnoreRules* ignored = nullptr;  // of the context, if it is known
};

struct LintResult {
    std::vector<LintWarning> warnings;  // by their lines
    bool is_error = false;              // the file asks that a warning be one
};

// The file must have passed check_statements. Throws Error only for a mistake in what is asked to
// be checked (`# check=…`, the build argument BUILDKIT_DOCKERFILE_CHECK, which goes before it).
LintResult lint(const Dockerfile& file, const LintFacts& facts);
