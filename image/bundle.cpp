// The conversion rules of image-spec's conversion.md. What is hard: the container's passwd and group are
// the image's, so they are read bounded, inside the root, and only if they are regular files.

#include "image/bundle.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/sys.h"
#include "spec/capabilities.h"

namespace {

std::vector<std::vector<std::string>> read_table(const Root& root, const std::string& inside, size_t columns) {
    std::vector<std::vector<std::string>> rows;
    const auto there = root.open_if_exists(inside, O_PATH);
    if (!there || !S_ISREG(sys::fstat(there->get()).st_mode)) return rows;
    const UniqueFd file = root.open(inside, O_RDONLY | O_NONBLOCK);
    const std::string text = context(inside, [&] { return sys::read_all(file.get(), size_t(8) << 20); });
    for (const std::string& line : split(text, '\n')) {
        auto fields = split(trim(line), ':');
        if (fields.size() >= columns && line[0] != '#') rows.push_back(std::move(fields));
    }
    return rows;
}

constexpr uint32_t largest_id = 0x7fffffff;  // as Docker: CVE-2024-40635 was an overflow here

uint32_t parse_id(const std::string& text) {
    const auto id = parse_number<uint32_t>(text);
    if (!id || *id > largest_id) throw Error("uids and gids must be in range 0-", largest_id, ", but is ", quoted(text));
    return *id;
}
bool is_number(const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

ResolvedUser resolve_user(const Root& root, const std::string& user, const std::vector<std::string>& more_groups) {
    ResolvedUser result;
    result.home = "/";
    const size_t colon = user.find(':');
    const std::string name = user.substr(0, colon);
    const std::string group = colon == std::string::npos ? "" : user.substr(colon + 1);
    const auto passwd = read_table(root, "etc/passwd", 6);
    const auto groups = read_table(root, "etc/group", 3);

    const std::string wanted = name.empty() ? "0" : name;
    auto entry = std::ranges::find_if(passwd, [&](const auto& row) { return row[0] == wanted; });
    if (entry == passwd.end() && is_number(wanted))
        entry = std::ranges::find_if(passwd, [&](const auto& row) { return row[2] == wanted; });
    std::string user_name;
    if (entry != passwd.end()) {
        user_name = (*entry)[0];
        result.uid = parse_id((*entry)[2]);
        result.gid = parse_id((*entry)[3]);
        if (!(*entry)[5].empty()) result.home = (*entry)[5];
    } else if (is_number(wanted)) {
        result.uid = parse_id(wanted);
    } else {
        throw Error("unable to find user ", name, ": no matching entries in passwd file");
    }
    const auto group_id = [&](const std::string& typed) {
        const auto found = std::ranges::find_if(groups, [&](const auto& row) { return row[0] == typed; });
        if (found != groups.end()) return parse_id((*found)[2]);
        if (is_number(typed)) return parse_id(typed);
        throw Error("unable to find group ", typed, ": no matching entries in group file");
    };
    if (!group.empty()) {
        result.gid = group_id(group);
    } else if (!user_name.empty()) {
        for (const auto& row : groups) {
            if (row.size() < 4) continue;
            const auto members = split(row[3], ',');
            if (std::ranges::find(members, user_name) != members.end() && is_number(row[2])) result.additional_gids.push_back(parse_id(row[2]));
        }
    }
    for (const std::string& typed : more_groups) result.additional_gids.push_back(group_id(typed));
    return result;
}

spec::Config bundle_config(const Image& image, const Root& root) {
    const spec::ContainerConfig& from = image.config.config;
    spec::Config config = spec::default_config();
    config.root->readonly = false;
    spec::Process& process = *config.process;
    process.terminal = false;
    // What people's images are written for: the rights that Docker gives, not those of `spec`'s shell.
    const std::vector<std::string>& rights = spec::container_capabilities();
    process.capabilities = spec::Capabilities{.bounding = rights, .effective = rights, .inheritable = {}, .permitted = rights, .ambient = {}};
    process.no_new_privileges = false;
    process.rlimits.clear();
    process.args = from.entrypoint.value_or(std::vector<std::string>{});
    if (from.cmd) process.args.insert(process.args.end(), from.cmd->begin(), from.cmd->end());
    if (process.args.empty()) process.args = {"sh"};
    if (!from.env.empty()) process.env = from.env;
    if (std::ranges::none_of(process.env, [](const auto& word) { return word.starts_with("PATH="); }))
        process.env.insert(process.env.begin(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    process.cwd = from.working_dir.empty() ? "/" : from.working_dir;
    if (process.cwd[0] != '/') process.cwd = "/" + process.cwd;
    const ResolvedUser user = resolve_user(root, from.user);
    process.user = {.uid = user.uid, .gid = user.gid, .umask = {}, .additional_gids = user.additional_gids, .username = {}};

    auto annotate = [&](const char* name, const std::string& value) {
        if (!value.empty()) config.annotations[str("org.opencontainers.image.", name)] = value;
    };
    annotate("os", image.config.os);
    annotate("architecture", image.config.architecture);
    annotate("variant", image.config.variant);
    annotate("author", image.config.author);
    annotate("created", image.config.created);
    annotate("stopSignal", from.stop_signal);
    annotate("exposedPorts", join({from.exposed_ports.begin(), from.exposed_ports.end()}, ","));
    // The image's own labels win over what was derived from it.
    for (const auto& [key, value] : from.labels) config.annotations[key] = value;
    return config;
}

void unpack_bundle(const Store& store, const Image& image, const std::string& directory) {
    const bool existed = sys::exists(directory);
    if (!existed) sys::mkdir(directory, 0755);
    else if (::rmdir(directory.c_str()) < 0) throw SysError("unpack to ", quoted(directory));
    else sys::mkdir(directory, 0755);
    try {
        sys::mkdir(directory + "/rootfs", 0755);
        Snapshots(store).flatten(image, directory + "/rootfs");
        const spec::Config config = bundle_config(image, Root(directory + "/rootfs"));
        replace_file(directory + "/config.json", spec::write(config, 2) + "\n");
    } catch (...) {
        attempt("removing " + directory, [&] { sys::remove_tree(directory); });
        throw;
    }
}
