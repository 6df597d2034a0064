// What COPY and ADD do: which files a pattern names, what they contain (for the cache), and how
// they come into the new layer. Both sides are untrusted trees.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/root.h"
#include "builder/language/ignore.h"
#include "image/digest.h"

struct CopyOwner {
    uint32_t uid = 0, gid = 0;
};

// The paths in `root` that a COPY source names, cleaned and sorted: itself, or what its pattern
// matches. Throws Error in BuildKit's words if there is none: `"/nope": not found`; a pattern may
// match nothing.
std::vector<std::string> match_sources(const Root& root, const std::string& source,
                                       const IgnoreRules& ignore);

struct CopyJob {
    const Root& from;
    const Root& to;
    const IgnoreRules& ignore;
    std::optional<CopyOwner> owner;  // nothing: as in the source
    bool chown = false;  // that owner was asked for: also for what is unpacked, and for directories
                         // on the way
    std::optional<unsigned> mode;  // --chmod
    bool extract = false;          // ADD unpacks local tars
    bool hash = false;             // copy_sources gives its digest
    std::string scratch;           // a host directory for what is unpacked from
};

// What the sources hold: names, kinds, modes, links, contents, of a source that is a link those of
// what it leads to. That is what makes a copy another copy; times and owners are no part of it.
Digest hash_sources(const Root& from, const IgnoreRules& ignore, bool extract,
                    const std::vector<std::string>& sources);
// Copies the sources to `destination` (absolute; a directory if it ends in "/" or is one). With
// job.hash it gives what hash_sources would for the bytes that were written: files may change
// between the two.
std::optional<Digest> copy_sources(const CopyJob& job, const std::vector<std::string>& sources,
                                   const std::string& destination);
