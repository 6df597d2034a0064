// The groups below a container's own. Whoever is in it may have made them if it may write there: as
// many, as deep and as busy as he likes, deeper than a path can name. So they are gone through as a
// stranger's tree is (base/tree_walk.h), and may be removed on the way, by us or by others.
#pragma once

#include <functional>
#include <string>

#include "base/tree_walk.h"

// Each group of the tree, those below one before it. `visit` may remove it; what it throws for one
// keeps those above it from being visited, and is thrown at the end. Throws SysError if one cannot
// be opened.
void each_group(const std::string& top, const std::function<void(const TreePlace&)>& visit);
