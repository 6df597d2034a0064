// A field is decoded once, when it is read: whoever compares a path with one as mountinfo writes it
// misses every mount whose path has a blank.
#include "base/mount_table.h"

#include <algorithm>

#include "base/file.h"
#include "base/text.h"

static std::string decoded(std::string_view field) {
    std::string out;
    for (size_t i = 0; i < field.size(); ++i) {
        const auto code =
            field[i] == '\\' ? parse_number<unsigned>(field.substr(i + 1, 3), 8) : std::nullopt;
        out += code ? char(*code) : field[i];
        if (code) i += 3;
    }
    return out;
}

std::vector<MountEntry> parse_mount_table(std::string_view mountinfo) {
    std::vector<MountEntry> found;
    for (const std::string& line : split(mountinfo, '\n')) {
        const std::vector<std::string> fields = split(line, ' ');
        const auto dash = std::ranges::find(fields, "-");
        if (dash - fields.begin() < 6 || fields.end() - dash < 3) continue;
        found.push_back({decoded(fields[3]), decoded(fields[4]), dash[1],
                         fields.end() - dash > 3 ? dash[3] : ""});
    }
    return found;
}

std::vector<MountEntry> mount_table() {
    return parse_mount_table(read_file("/proc/self/mountinfo"));
}

std::vector<std::string> mounts_below(const std::string& directory) {
    std::vector<std::string> points;
    for (MountEntry& mount : mount_table())
        if (mount.point == directory || mount.point.starts_with(directory + "/"))
            points.push_back(std::move(mount.point));
    std::ranges::reverse(points);
    return points;
}
