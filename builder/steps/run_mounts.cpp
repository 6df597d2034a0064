// What is hard: each kind hands something of the host's in. A tree of files is mounted by itself,
// read-only or under an upper directory that is thrown away, and a path in it is followed within
// it. A secret is nowhere but in memory: in a tmpfs, and so is a bundle whose config.json says one.
// A cache is shared by builds at once, which may not see it half made; it lies in the store, and no
// name that a Dockerfile has becomes a part of a path.
#include "builder/steps/run_mounts.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/copy_tree.h"
#include "base/error.h"
#include "base/log.h"
#include "base/sys.h"
#include "builder/steps/source_tree.h"
#include "image/layer/rules.h"

namespace {

constexpr size_t most_secret = 500 << 10;  // BuildKit's
constexpr unsigned secret_mode = 0400, agent_mode = 0600, cache_mode = 0755;
constexpr int most_private = 1000;  // caches of one id

void make_file(const std::string& path, std::string_view text, unsigned mode, uint32_t uid,
               uint32_t gid) {
    const UniqueFd file = sys::open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    sys::write_all(file.get(), text);
    check(::fchown(file.get(), uid, gid), "chown ", path);
    check(::fchmod(file.get(), mode), "chmod ", path);
}

std::string read_secret(const BuildOptions::Secret& secret, const std::string& id) {
    return context(str("secret ", id), [&]() -> std::string {
        if (!secret.variable.empty()) {
            const char* const value = ::getenv(secret.variable.c_str());
            if (!value) throw Error("the variable ", secret.variable, " is not set");
            return value;
        }
        return read_file(secret.file, most_secret);
    });
}

}  // namespace

RunMounts::~RunMounts() {
    relays_.clear();
    if (in_memory_.empty()) return;
    attempt("unmounting " + in_memory_, [&] { sys::umount(in_memory_, MNT_DETACH); });
}

void RunMounts::add(const RunMount& mount, Layers layers) {
    switch (mount.type) {
        case RunMount::Type::bind: return bind(mount, layers);
        case RunMount::Type::cache: return cache(mount, layers);
        case RunMount::Type::tmpfs: return tmpfs(mount);
        case RunMount::Type::secret: return secret(mount);
        case RunMount::Type::ssh: return ssh(mount);
    }
}

std::optional<std::string> RunMounts::private_directory() const {
    return in_memory_.empty() ? std::nullopt : std::optional(in_memory_);
}

std::string RunMounts::new_directory() {
    std::string path = str(work_, "/mount-", ++made_);
    sys::mkdir(path, 0700);
    return path;
}

const std::string& RunMounts::in_memory() {
    if (in_memory_.empty()) {
        const std::string path = new_directory();
        if (::mount("keg", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") <
            0)
            throw SysError("mounting a tmpfs at ", path);
        in_memory_ = path;
    }
    return in_memory_;
}

void RunMounts::add_file(const std::string& path, const std::string& target, bool read_only,
                         MountPlaces::Kind kind) {
    mounts_.push_back(
        {.mount = {target, "bind", path, {"rbind", "rprivate", read_only ? "ro" : "rw"}},
         .kind = kind});
}

// --- bind

std::string RunMounts::mount_tree(Layers layers, bool writable) {
    const std::string directory = new_directory();
    Snapshot snapshot{.layers = {layers.begin(), layers.end()}, .target = directory + "/tree"};
    if (writable) snapshot.upper = directory + "/upper", snapshot.work = directory + "/work";
    trees_.push_back(std::make_unique<Mounted>(snapshots_, snapshot, true));
    return snapshot.target;
}

// What is written to it is thrown away.
void RunMounts::bind(const RunMount& mount, Layers layers) {
    const std::string tree = mount_tree(layers, !mount.read_only);
    SourceTree files(Root(tree), IgnoreRules{});
    const std::string inside = files.resolve(clean_path(mount.source));
    const bool is_directory = S_ISDIR(files.look(inside).st_mode);
    add_file(inside.empty() ? tree : str(tree, "/", inside), mount.target, mount.read_only,
             is_directory ? MountPlaces::Kind::directory : MountPlaces::Kind::file);
}

// --- cache

// The directory of the cache that is ours for as long as this lives, or is shared.
std::string RunMounts::claim_cache(const std::string& place, RunMount::Sharing sharing) {
    sys::make_directories(place, 0700);
    if (sharing != RunMount::Sharing::exclusive) {
        locks_.emplace_back(place + "/lock-0", sharing == RunMount::Sharing::shared);
        return place + "/data-0";
    }
    for (int i = 0; i < most_private; ++i)
        if (auto lock = FileLock::try_lock(str(place, "/lock-", i))) {
            locks_.push_back(std::move(*lock));
            return str(place, "/data-", i);
        }
    throw Error("there are ", most_private, " builds at once that have the cache ", place);
}

void RunMounts::fill_cache(const std::string& data, const RunMount& mount, Layers layers) {
    SourceTree files(Root(mount_tree(layers, false)), IgnoreRules{});
    const std::string inside = files.resolve(clean_path(mount.source));
    const UniqueFd from = files.root().open(inside.empty() ? "/" : inside, O_RDONLY | O_DIRECTORY);
    copy_tree(from.get(), sys::open(data, O_RDONLY | O_DIRECTORY).get(), Likeness::full);
}

void RunMounts::cache(const RunMount& mount, Layers layers) {
    Hasher name;
    for (const std::string& field :
         {options_.cache_namespace, mount.id, layers.empty() ? "" : chain_ids(layers).back().text(),
          mount.source, str(mount.mode.value_or(cache_mode)), str(mount.uid.value_or(0)),
          str(mount.gid.value_or(0))})
        name.field(field);
    const std::string data =
        claim_cache(str(store_.root(), "/mounts/", name.finish().hex()), mount.sharing);
    if (!sys::exists(data)) {
        const std::string made = name_aside(data);
        sys::mkdir(made, 0755);
        if (!layers.empty()) fill_cache(made, mount, layers);
        check(::chown(made.c_str(), mount.uid.value_or(0), mount.gid.value_or(0)), "chown ", made);
        check(::chmod(made.c_str(), mount.mode.value_or(cache_mode)), "chmod ", made);
        // Who shares it may have been faster.
        if (::rename(made.c_str(), data.c_str()) < 0) sys::remove_tree(made);
    }
    ::futimens(locks_.back().fd(), nullptr);  // used now
    add_file(data, mount.target, mount.read_only, MountPlaces::Kind::directory);
}

// --- tmpfs

void RunMounts::tmpfs(const RunMount& mount) {
    std::vector<std::string> options = {"nosuid", "nodev"};
    if (mount.size > 0) options.push_back(str("size=", mount.size));
    mounts_.push_back(
        {.mount = {mount.target, "tmpfs", "tmpfs", options}, .kind = MountPlaces::Kind::directory});
}

// --- secret

void RunMounts::secret(const RunMount& mount) {
    const auto given = options_.secrets.find(mount.id);
    if (given == options_.secrets.end()) {
        if (mount.required) throw Error("secret ", mount.id, ": not found");
        return;
    }
    const std::string value = read_secret(given->second, mount.id);
    const std::string& memory = in_memory();
    if (mount.env) environment_.push_back(*mount.env + "=" + value);
    if (mount.target.empty()) return;
    const std::string path = str(memory, "/secret-", mounts_.size());
    make_file(path, value, mount.mode.value_or(secret_mode), mount.uid.value_or(0),
              mount.gid.value_or(0));
    add_file(path, mount.target, true, MountPlaces::Kind::file);
}

// --- ssh

void RunMounts::ssh(const RunMount& mount) {
    const auto given = options_.agents.find(mount.id);
    if (given == options_.agents.end()) {
        if (mount.required) throw Error("ssh agent ", mount.id, ": not found");
        return;
    }
    const std::string directory = new_directory(), path = directory + "/agent";
    relays_.push_back(std::make_unique<SshRelay>(path, given->second,
                                                 mount.mode.value_or(agent_mode),
                                                 mount.uid.value_or(0), mount.gid.value_or(0)));
    const std::string target =
        mount.target.empty() ? str("/run/buildkit/ssh_agent.", agents_) : mount.target;
    if (agents_++ == 0) environment_.push_back("SSH_AUTH_SOCK=" + target);
    add_file(path, target, false, MountPlaces::Kind::file);
}

// --- heredocs

void RunMounts::add_script(const InlineFile& script) {
    const std::string path = new_directory() + "/script";
    make_file(path, script.content, 0755, 0, 0);
    add_file(path, "/dev/pipes/" + script.name, true, MountPlaces::Kind::file);
}
