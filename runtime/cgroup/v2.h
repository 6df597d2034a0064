// cgroup v2: one hierarchy, in which a controller works below a group only if the group says so.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/knobs.h"

namespace v2 {

// Whether there is cgroup v2 and nothing else.
bool is_everything();
// Whether that directory of a container is in a v2 hierarchy, be it alone or beside v1.
bool holds(const CgroupRecord& record, const std::string& directory);

// Every level that is missing. The needed controllers are enabled in each level above, or it
// throws; the others too, if that can be had and v2 is all there is: statistics come from them.
using Needed = std::map<std::string, std::string>;  // controller, and the setting that needs it
void make_group(const std::string& mount, const std::string& path, const Needed& needed);

// Who the cgroup is delegated to: the host's id of the container's user, if the container sees the
// group as its root, and may write there (runtime-spec: "cgroup ownership"). Pure.
std::optional<uint32_t> plan_owner(const spec::Config& config);
void give_to(const std::string& directory, uint32_t owner);

std::vector<Write> plan(const spec::Resources& resources, const Chosen& chosen);
// Those lines of `unified`: last, as they are, whatever they mean.
std::vector<Write> plan_unified(const spec::Resources& resources);

// Those that the table has limits for.
std::set<std::string_view> known_controllers();

uint64_t weight_of_shares(uint64_t shares);

}  // namespace v2
