// Git repositories that a build reads: `ADD https://….git#v1:docs`, and contexts that are one.
// BuildKit's URLs: a fragment "#REF:SUBDIRECTORY", or a query "?ref=…&subdir=…".
#pragma once

#include <optional>
#include <string>

#include "image/digest.h"

struct GitSource {
    std::string remote;    // what git fetches from
    std::string ref;       // a branch, a tag, a commit, or "refs/…"; "": what the remote's HEAD is
    std::string subdir;    // a clean path without a slash before it; "": all
    std::string checksum;  // the commit, or its first digits; "": any
    bool keep_git_dir = false;
    bool submodules = true;

    // The last part of its name, without ".git".
    std::string name() const;
};

// What BuildKit takes for a repository: https:// and http:// with a path that ends in ".git",
// git://, ssh://, user@host:path and github.com/…. Nothing for all else, file:// and local paths
// among them. Throws Error for a repository's URL that is wrong.
std::optional<GitSource> parse_git_source(const std::string& typed);

// Throws Error for what is neither a commit nor the first digits of one, nor "".
void check_commit(const std::string& typed);

struct FetchedTree {
    std::string path;    // a directory of this host; what is in it is a stranger's: by a Root
    std::string commit;  // which it is, 40 or 64 hex digits
    Digest key;          // of commit and directory: of what is in there
};

// Fetches the one commit into `directory`, which is new or empty, by the `git` in PATH, with
// nothing of the caller's configuration and environment but proxies, and without hooks. Only http,
// https, ssh and git are spoken, by submodules, too. `agent` is an ssh agent's socket, "": none.
// Throws Error if the commit is not `checksum`'s, in BuildKit's words, or if the subdirectory is
// none.
FetchedTree fetch_git(const GitSource& source, const std::string& directory,
                      const std::string& agent = {});
// The key of FetchedTree.
Digest key_of_git(const GitSource& source, const std::string& commit);
