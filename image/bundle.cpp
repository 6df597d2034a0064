// The conversion rules of image-spec's conversion.md. What is hard: the image is a stranger. Its
// passwd and group are read bounded, line by line (a table of eight million empty lines must not
// become one in memory), inside the root, and only if what was opened is a regular file. Its labels
// become annotations, as the specification says, but a runtime obeys some annotations, on the host:
// those do not come from an image.

#include "image/bundle.h"

#include <algorithm>
#include <span>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/regular_file.h"
#include "base/sys.h"
#include "image/repack.h"
#include "spec/capabilities.h"

namespace {

constexpr size_t most_table = size_t(8) << 20;  // bytes of a passwd or group
constexpr size_t most_groups = 65536;           // the kernel's NGROUPS_MAX

std::string read_table(const Root& root, const std::string& inside) {
    const auto file = open_regular_if_exists(root, inside);
    return file ? context(inside, [&] { return sys::read_all(file->get(), most_table); }) : "";
}

// Calls `each` with every piece between the separators.
template <class Each>
void for_each_piece(std::string_view text, char separator, Each&& each) {
    for (;;) {
        const size_t end = text.find(separator);
        each(text.substr(0, end));
        if (end == std::string_view::npos) return;
        text.remove_prefix(end + 1);
    }
}

// Calls `each` with the fields of every line that has at least so many.
template <class Each>
void for_each_row(std::string_view table, size_t columns, Each&& each) {
    std::vector<std::string_view> fields;
    for_each_piece(table, '\n', [&](std::string_view line) {
        fields.clear();
        if (line.starts_with('#')) return;
        for_each_piece(trim(line), ':', [&](std::string_view field) {
            if (fields.size() < 8) fields.push_back(field);  // passwd has seven
        });
        if (fields.size() >= columns) each(std::span<const std::string_view>(fields));
    });
}

// The first row that has that text there.
std::optional<std::vector<std::string>> find_row(std::string_view table, size_t columns,
                                                 size_t column, std::string_view wanted) {
    std::optional<std::vector<std::string>> found;
    for_each_row(table, columns, [&](std::span<const std::string_view> row) {
        if (!found && row[column] == wanted) found.emplace(row.begin(), row.end());
    });
    return found;
}

constexpr uint32_t largest_id = 0x7fffffff;  // as Docker: CVE-2024-40635 was an overflow here

uint32_t parse_id(std::string_view text) {
    const auto id = parse_number<uint32_t>(text);
    if (!id || *id > largest_id)
        throw Error("uids and gids must be in range 0-", largest_id, ", but is ", quoted(text));
    return *id;
}
bool is_number(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}
bool is_member(std::string_view members, std::string_view user) {
    bool found = false;
    for_each_piece(members, ',', [&](std::string_view member) { found = found || member == user; });
    return found;
}

// --- labels

// Whose annotations do something beyond the container, or take a wall of it away. A prefix is a
// whole name space, since each of these grows: what is harmless in one today need not be so
// tomorrow.
constexpr std::string_view obeyed_prefixes[] = {
    "org.systemd.",  // properties of the unit: runc, crun, keg-runtime
    "org.criu.",     // CRIU's configuration: the same
    "run.oci.",
    "krun.",               // crun: hooks, handlers, seccomp, groups; its virtual machines
    "io.katacontainers.",  // Kata: hypervisor, kernel, agent
    "dev.gvisor.",         // runsc: flags, mounts
    "com.urunc.",
    "org.linuxcontainers.",
    "org.freebsd.",
    "io.microsoft.",  // urunc, lxcri, jails, hcsshim
    "io.podman.",
    "io.containers.",  // podman, and hooks of its distribution
    "io.kubernetes.",
    "io.containerd.",
    "io.cri-o.",
    "org.opencontainers.runtime.",
    "org.opencontainers.runc.",
};

bool is_obeyed(const std::string& label) {
    const std::string key = lower(label);
    if (key == "bundle") return true;  // runc's own
    // DOMAIN/NAME is Kubernetes' form (cdi.k8s.io/…, devices.nri.io/…, cpu-quota.crio.io/…):
    // devices, mounts, hooks.
    if (key.contains('/')) return true;
    return std::ranges::any_of(obeyed_prefixes,
                               [&](std::string_view prefix) { return key.starts_with(prefix); });
}

// The labels as annotations; the image's own win over what was derived from it.
void annotate_with_labels(spec::Config& config, const spec::StringMap& labels, bool all) {
    std::vector<std::string> left_out;
    for (const auto& [key, value] : labels) {
        if (key.empty()) continue;  // config.md: an annotation has a name
        if (all || !is_obeyed(key))
            config.annotations[key] = value;
        else
            left_out.push_back(quoted(key));
    }
    if (left_out.empty()) return;
    const size_t shown = std::min<size_t>(left_out.size(), 10), more = left_out.size() - shown;
    left_out.resize(shown);
    log_warning(str("labels of the image that runtimes may obey did not become annotations: ",
                    join(left_out, ", "), more ? str(" and ", more, " more") : "",
                    " (--label-annotations takes all)"));
}

// What a container writes there is not in its root file system, and so in no image that is made of
// it.
void add_volumes(spec::Config& config, const spec::ContainerConfig& image) {
    for (const spec::ContainerPath& volume : image.volumes)
        config.mounts.push_back({.destination = volume.path(),
                                 .type = "tmpfs",
                                 .source = "none",
                                 .options = {"rw", "nosuid", "nodev", "noexec", "relatime"},
                                 .uid_mappings = {},
                                 .gid_mappings = {}});
}

bool is_mapped(uint32_t id, const std::vector<spec::IdMapping>& maps) {
    return std::ranges::any_of(maps, [&](const spec::IdMapping& map) {
        return id >= map.container_id && id - map.container_id < map.size;
    });
}

// The container's users are those of a user namespace.
void use_ownership(spec::Config& config, const Ownership& ownership) {
    if (ownership.is_plain()) return;
    spec::Process& process = *config.process;
    if (ownership.rootless) {
        spec::make_rootless(config, ownership.uids.at(0).host_id, ownership.gids.at(0).host_id);
        // There is nobody else.
        process.user.uid = process.user.gid = 0;
        process.user.additional_gids.clear();
        return;
    }
    config.linux.namespaces.push_back({.type = "user", .path = {}});
    config.linux.uid_mappings = ownership.uids;
    config.linux.gid_mappings = ownership.gids;
    for (spec::Mount& mount : config.mounts)
        std::erase_if(mount.options, [&](const std::string& option) {
            return option.starts_with("gid=") &&
                   !is_mapped(parse_id(option.substr(4)), ownership.gids);
        });
}

}  // namespace

ResolvedUser resolve_user(const Root& root, const spec::UserName& user,
                          const std::vector<std::string>& more_groups) {
    ResolvedUser result;
    result.home = "/";
    const std::string passwd = read_table(root, "etc/passwd"),
                      groups = read_table(root, "etc/group");

    const std::string wanted = user.user().empty() ? "0" : user.user();
    auto entry = find_row(passwd, 6, 0, wanted);
    if (!entry && is_number(wanted)) entry = find_row(passwd, 6, 2, wanted);
    std::string user_name;
    if (entry) {
        user_name = (*entry)[0];
        result.uid = parse_id((*entry)[2]);
        result.gid = parse_id((*entry)[3]);
        if (!(*entry)[5].empty()) result.home = (*entry)[5];
    } else if (is_number(wanted)) {
        result.uid = parse_id(wanted);
    } else {
        throw Error("unable to find user ", user.user(), ": no matching entries in passwd file");
    }
    const auto group_id = [&](const std::string& typed) {
        if (const auto found = find_row(groups, 3, 0, typed)) return parse_id((*found)[2]);
        if (is_number(typed)) return parse_id(typed);
        throw Error("unable to find group ", typed, ": no matching entries in group file");
    };
    if (!user.group().empty()) {
        result.gid = group_id(user.group());
    } else if (!user_name.empty()) {
        for_each_row(groups, 4, [&](std::span<const std::string_view> row) {
            if (!is_number(row[2]) || !is_member(row[3], user_name)) return;
            if (result.additional_gids.size() == most_groups)
                throw Error("user ", quoted(user_name), " is in more than ", most_groups,
                            " groups");
            result.additional_gids.push_back(parse_id(row[2]));
        });
    }
    for (const std::string& typed : more_groups) result.additional_gids.push_back(group_id(typed));
    return result;
}

spec::Config bundle_config(const Image& image, const Root& root, const UnpackOptions& options) {
    const spec::ContainerConfig& from = image.config.config;
    spec::Config config = spec::default_config();
    config.root->readonly = false;
    spec::Process& process = *config.process;
    process.terminal = false;
    // What people's images are written for: the rights that Docker gives, not those of `spec`'s
    // shell.
    const std::vector<std::string>& rights = spec::container_capabilities();
    process.capabilities = spec::Capabilities{.bounding = rights,
                                              .effective = rights,
                                              .inheritable = {},
                                              .permitted = rights,
                                              .ambient = {}};
    process.no_new_privileges = false;
    process.rlimits.clear();
    process.args = from.entrypoint.value_or(std::vector<std::string>{});
    if (from.cmd) process.args.insert(process.args.end(), from.cmd->begin(), from.cmd->end());
    if (process.args.empty()) process.args = {"sh"};
    if (!from.env.empty()) process.env.clear();
    for (const spec::Variable& variable : from.env) process.env.push_back(variable.text());
    if (std::ranges::none_of(process.env,
                             [](const auto& word) { return word.starts_with("PATH="); }))
        process.env.insert(process.env.begin(),
                           "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    process.cwd = from.working_dir.empty() ? "/" : from.working_dir;
    const ResolvedUser user = resolve_user(root, from.user);
    process.user = {.uid = user.uid,
                    .gid = user.gid,
                    .umask = {},
                    .additional_gids = user.additional_gids,
                    .username = {}};
    const auto is_home = [](const std::string& word) { return word.starts_with("HOME="); };
    if (!user.home.empty() && std::ranges::none_of(process.env, is_home))
        process.env.push_back("HOME=" + user.home);
    add_volumes(config, from);
    use_ownership(config, options.ownership);

    auto annotate = [&](const char* name, const std::string& value) {
        if (!value.empty()) config.annotations[str("org.opencontainers.image.", name)] = value;
    };
    annotate("os", image.config.os);
    annotate("os.version", image.config.os_version);
    annotate("os.features", join(image.config.os_features, ","));
    annotate("architecture", image.config.architecture);
    annotate("variant", image.config.variant);
    annotate("author", image.config.author);
    annotate("created", image.config.created);
    annotate("stopSignal", from.stop_signal.text());
    std::vector<std::string> ports;
    for (const spec::Port& port : from.exposed_ports) ports.push_back(port.text());
    annotate("exposedPorts", join(ports, ","));
    annotate_with_labels(config, from.labels, options.label_annotations);
    return config;
}

void unpack_bundle(const Store& store, const Image& image, const std::string& directory,
                   const UnpackOptions& options) {
    const bool existed = sys::exists(directory);
    if (!existed)
        sys::mkdir(directory, 0755);
    else if (::rmdir(directory.c_str()) < 0)
        throw SysError("unpack to ", quoted(directory));
    else
        sys::mkdir(directory, 0755);
    try {
        sys::mkdir(directory + "/rootfs", 0755);
        Snapshots(store).flatten(image, directory + "/rootfs", options.ownership);
        const spec::Config config = bundle_config(image, Root(directory + "/rootfs"), options);
        note_origin(directory, image, options.ownership);
        replace_file(directory + "/config.json", spec::write(config, 2) + "\n");
    } catch (...) {
        attempt("removing " + directory, [&] { sys::remove_tree(directory); });
        throw;
    }
}
