// v1's freezer is asked again and again: a task that is forked while it freezes may keep it in
// FREEZING for ever, and only thawing it for a moment helps. v2's tells by an event when it is
// done.
#include "runtime/cgroup/freezer.h"

#include <poll.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup/limits.h"
#include "runtime/cgroup/tree.h"

namespace {

constexpr int freezer_patience = 10'000;  // milliseconds

// "" if there is none.
std::string control_file(const CgroupRecord& record) {
    if (record.v2)
        return record.directories.empty() ? "" : record.directories[0] + "/cgroup.freeze";
    const auto directory = directory_of(record, "freezer");
    return directory ? *directory + "/freezer.state" : "";
}

std::string needed_control_file(const CgroupRecord& record) {
    std::string file = control_file(record);
    if (file.empty()) throw Error("the container has no cgroup with a freezer");
    return file;
}

bool freeze_v1(const std::string& file) {
    for (int passed = 0; passed < freezer_patience; ++passed) {
        // Every fiftieth time it may run on for a moment: whoever was in the middle of a fork gets
        // through.
        if (passed % 50 == 49) {
            write_file(file, "THAWED");
            ::poll(nullptr, 0, 1);
        }
        write_file(file, "FROZEN");
        if (read_file(file).starts_with("FROZEN")) return true;
        ::poll(nullptr, 0, 1);
    }
    return false;
}

bool freeze_v2(const std::string& directory) {
    write_file(directory + "/cgroup.freeze", "1");
    const UniqueFd events = sys::open(directory + "/cgroup.events", O_RDONLY);
    for (int passed = 0; passed < freezer_patience; passed += 100) {
        check(::lseek(events.get(), 0, SEEK_SET), "lseek");
        if (sys::read_all(events.get()).contains("frozen 1")) return true;
        pollfd waiting{events.get(), POLLPRI, 0};
        ::poll(&waiting, 1, 100);
    }
    return false;
}

}  // namespace

bool is_frozen(const CgroupRecord& record) {
    const std::string file = control_file(record);
    if (file.empty()) return false;
    const auto state = read_file_if_exists(file);
    return state && (state->starts_with("FROZEN") || state->starts_with("FREEZING") ||
                     state->starts_with("1"));
}

void freeze(const CgroupRecord& record) {
    const std::string file = needed_control_file(record);
    if (record.v2 ? freeze_v2(record.directories.at(0)) : freeze_v1(file)) return;
    attempt("thawing again", [&] { thaw(record); });
    throw Error("unable to freeze");
}

void thaw(const CgroupRecord& record) {
    write_file(needed_control_file(record), record.v2 ? "0" : "THAWED");
}

void thaw_tree(const CgroupRecord& record) {
    const std::string file = control_file(record);
    if (file.empty()) return;
    const size_t slash = file.rfind('/');
    each_group(file.substr(0, slash), [&](const TreePlace& group) {
        const std::string name = group.name + file.substr(slash);
        const UniqueFd control(::openat(group.parent, name.c_str(), O_RDWR | O_CLOEXEC));
        if (!control) return;  // it is gone
        const std::string_view thawed = record.v2 ? "0" : "THAWED";
        const auto state = sys::try_read_all(control.get(), 100);
        if (!state || state->starts_with(thawed)) return;
        if (::write(control.get(), thawed.data(), thawed.size()) < 0 && errno != ENODEV)
            throw SysError{errno, "thawing " + group.shown()};
    });
}
