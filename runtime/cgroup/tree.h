// The groups below a container's own. Whoever is in it may have made them if it may write there: as
// many, as deep and as busy as he likes, deeper than a path can name. So a walk holds two
// descriptors whatever the depth, and goes by names from one to the next.
#pragma once

#include <functional>
#include <string>

// Each group of the tree, those below one before it, as the directory that it is in (AT_FDCWD for
// the top) and its name there. `visit` may remove it. What is gone is passed over; throws SysError
// if one cannot be opened.
using VisitGroup = std::function<void(int parent, const std::string& name)>;
void each_group(const std::string& top, const VisitGroup& visit);
