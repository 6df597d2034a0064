// What a build would say of its Dockerfile, without a build.
#pragma once

#include <map>
#include <string>

#include "builder/build_text.h"
#include "builder/language/lint.h"

// `store_root`: where images are looked up, if a store is there; nothing is fetched, and none is
// made. Throws Error for a mistake in what is asked to be checked.
LintResult check_build(const BuildText& text, const std::map<std::string, std::string>& build_args,
                       const std::string& store_root);
