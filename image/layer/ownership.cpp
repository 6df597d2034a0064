// What is hard is that an owner who cannot be set must not be lost: a bundle that is packed again
// has the owners that its image had. The attribute in which they stand is two numbers in protobuf's
// form (fields 1 and 2, varints, a zero is left out), and is a stranger's by the time it is read.
#include "image/layer/ownership.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"

namespace {

constexpr const char* note_name = "user.rootlesscontainers";

std::string varint(uint32_t value) {
    std::string bytes;
    for (; value >= 0x80; value >>= 7) bytes += char(value | 0x80);
    return bytes + char(value);
}

std::optional<uint32_t> take_varint(std::string_view& bytes) {
    uint64_t value = 0;
    for (unsigned shift = 0; !bytes.empty() && shift < 35; shift += 7) {
        const auto byte = static_cast<unsigned char>(bytes[0]);
        bytes.remove_prefix(1);
        value |= uint64_t(byte & 0x7f) << shift;
        if (byte < 0x80) return value <= UINT32_MAX ? std::optional(uint32_t(value)) : std::nullopt;
    }
    return {};
}

std::optional<Ownership::Owner> read_note(std::string_view bytes) {
    Ownership::Owner owner{0, 0};
    while (!bytes.empty()) {
        const char field = bytes[0];
        bytes.remove_prefix(1);
        const auto value = take_varint(bytes);
        if (!value || (field != 0x08 && field != 0x10)) return {};
        (field == 0x08 ? owner.first : owner.second) = *value;
    }
    return owner;
}

uint32_t shifted(uint32_t id, const std::vector<spec::IdMapping>& maps,
                 uint32_t spec::IdMapping::* from, uint32_t spec::IdMapping::* to,
                 const char* what) {
    if (maps.empty()) return id;
    for (const spec::IdMapping& map : maps)
        if (id >= map.*from && id - map.*from < map.size) return map.*to + (id - map.*from);
    throw Error(what, " ", id, " is in no map of ids");
}

}  // namespace

Ownership::Owner Ownership::on_host(Owner inside) const {
    if (rootless) return {::geteuid(), ::getegid()};
    using Map = spec::IdMapping;
    return {shifted(inside.first, uids, &Map::container_id, &Map::host_id, "the user"),
            shifted(inside.second, gids, &Map::container_id, &Map::host_id, "the group")};
}

Ownership::Owner Ownership::in_layer(const struct stat& info,
                                     std::map<std::string, std::string>& xattrs) const {
    if (rootless) {
        const auto note = xattrs.extract(note_name);
        const auto noted = note ? read_note(note.mapped()) : std::nullopt;
        return noted.value_or(Owner{0, 0});
    }
    using Map = spec::IdMapping;
    return {shifted(info.st_uid, uids, &Map::host_id, &Map::container_id, "the host's user"),
            shifted(info.st_gid, gids, &Map::host_id, &Map::container_id, "the host's group")};
}

std::optional<std::pair<std::string, std::string>> Ownership::note_of(Owner inside) const {
    if (!rootless || inside == Owner{0, 0}) return {};
    std::string value;
    if (inside.first != 0) value += '\x08' + varint(inside.first);
    if (inside.second != 0) value += '\x10' + varint(inside.second);
    return std::pair(std::string(note_name), value);
}

spec::IdMapping parse_id_mapping(const std::string& typed) {
    const std::vector<std::string> words = split(typed, ':');
    const auto number = [&](size_t i) { return parse_number<uint32_t>(words[i]); };
    if (words.size() == 2 || words.size() == 3) {
        const auto inside = number(0), host = number(1),
                   size = words.size() == 3 ? number(2) : std::optional(1u);
        const uint64_t end = uint64_t(1) << 32;
        if (inside && host && size && *size > 0 && uint64_t(*inside) + *size < end &&
            uint64_t(*host) + *size < end)
            return {.container_id = *inside, .host_id = *host, .size = *size};
    }
    throw Error("invalid map of ids ", quoted(typed), ": expected CONTAINER:HOST[:SIZE]");
}

void become_root_of_own_files() {
    const uid_t user = ::geteuid();
    const gid_t group = ::getegid();
    if (user == 0) return;
    check(::unshare(CLONE_NEWUSER), "a user namespace for files of an ordinary user");
    // A group can be mapped only by who has given up leaving others.
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", str("0 ", user, " 1"));
    write_file("/proc/self/gid_map", str("0 ", group, " 1"));
}
