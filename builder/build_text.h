// The Dockerfile of a build, and what it leaves out of its context.
#pragma once

#include <string>

#include "base/root.h"
#include "builder/language/dockerfile.h"
#include "builder/language/ignore.h"
#include "builder/source/context.h"

struct BuildText {
    std::string name;  // as errors show it
    std::string text;
    Dockerfile file;
    IgnoreRules ignore;
};

// Of a directory `dockerfile` is a path, "-" for standard input, or "" for the first that is there
// of CONTEXT/Dockerfile, CONTEXT/dockerfile and CONTEXT/Containerfile; NAME.dockerignore beside it
// goes before the context's .dockerignore. Of a context that was fetched it is a path in there, and
// no file is left out. Throws Error for what cannot be read, and for a statement that is none.
BuildText read_build_text(const BuildContext& from, const Root& context_root,
                          const std::string& dockerfile);

// A context's .dockerignore; of one that has none, no rule.
IgnoreRules read_ignore_file(const Root& context_root);
