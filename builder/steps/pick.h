// Which files a COPY or ADD takes, and what they hold: the source's side of it, whatever it is
// copied onto.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "builder/graph.h"
#include "builder/steps/file_digests.h"
#include "builder/steps/source_tree.h"
#include "image/digest.h"

struct Pick {
    std::string source;     // in the tree, without links
    std::string under;      // where it comes, below the destination; "" is the destination itself
    bool is_named = false;  // a file of its own: it becomes the destination if that is no directory
    struct stat info{};
    std::string target;                         // of a link
    std::optional<FileDigests::Sha256> digest;  // of a regular file
    std::string capability;                     // its security.capability
};

// In the order in which they are copied: of two that come to one place, the latter stays. Throws
// Error in BuildKit's words for a source that is not there; a pattern may match nothing.
std::vector<Pick> pick_files(SourceTree& tree, const CopyFiles& copy);

// Reads those whose content is not known, several at once. `known` may be null.
void read_digests(const SourceTree& tree, std::vector<Pick>& picks, FileDigests* known);

// Of all that makes a copy another copy: names, kinds, modes, owners if they are kept, contents.
// Times are no part of it.
Digest content_of(const std::vector<Pick>& picks, bool with_owners);

// Opens a picked file for reading; it may be another one by now, but a regular file it is.
UniqueFd open_picked(const SourceTree& tree, const Pick& pick);
