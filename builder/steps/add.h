// ADD of archives: a local tar, compressed or not, is unpacked where another file would be copied.
#pragma once

#include <string>
#include <vector>

#include "base/root.h"
#include "builder/steps/copy.h"

// Is there one among them that ADD unpacks? Its content says so: reads the beginning of each named
// file.
bool has_archives(const SourceTree& tree, const CopyFiles& copy, const std::vector<Pick>& picks);

// Copies and unpacks into a mounted root, which `below` is. `scratch` is a host directory for what
// is unpacked from: a copy that nobody changes, whose digest becomes the pick's. Throws Error as
// write_copy() does, and for a damaged archive.
void add_unpacked(const SourceTree& tree, std::vector<Pick>& picks, const CopyFiles& copy,
                  const CopyLooks& looks, FileTree& below, const Root& root,
                  const std::string& scratch);
