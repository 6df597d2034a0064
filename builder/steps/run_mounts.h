// What RUN --mount asks for, made ready: each a mount of the container's, none a part of its
// layer. Undone with the object.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "builder/build.h"
#include "builder/graph.h"
#include "builder/steps/mount_places.h"
#include "builder/steps/ssh_relay.h"
#include "image/snapshots.h"
#include "spec/runtime.h"

struct ExtraMount {
    spec::Mount mount;  // its destination as it was asked for: absolute
    MountPlaces::Kind kind;
};

class RunMounts {
public:
    // `work` is an empty directory of a Workplace.
    RunMounts(const Store& store, const BuildOptions& options, std::string work)
        : store_(store), snapshots_(store), options_(options), work_(std::move(work)) {}
    RunMounts(const RunMounts&) = delete;
    RunMounts& operator=(const RunMounts&) = delete;
    ~RunMounts();

    // `layers` are what the mount is from; nothing for one that is from nowhere. Throws Error in
    // BuildKit's words for what is not there.
    void add(const RunMount& mount, Layers layers);
    // A heredoc that is executed.
    void add_script(const InlineFile& script);

    const std::vector<ExtraMount>& mounts() const { return mounts_; }
    const std::vector<std::string>& environment() const { return environment_; }  // "NAME=VALUE"
    // Where the bundle belongs that says this environment: nothing of it is to be on a disk.
    std::optional<std::string> private_directory() const;

private:
    void bind(const RunMount& mount, Layers layers);
    void cache(const RunMount& mount, Layers layers);
    void tmpfs(const RunMount& mount);
    void secret(const RunMount& mount);
    void ssh(const RunMount& mount);

    std::string new_directory();
    std::string mount_tree(Layers layers, bool writable);
    const std::string& in_memory();
    std::string claim_cache(const std::string& place, RunMount::Sharing sharing);
    void fill_cache(const std::string& data, const RunMount& mount, Layers layers);
    void add_file(const std::string& path, const std::string& target, bool read_only,
                  MountPlaces::Kind kind);

    const Store& store_;
    const Snapshots snapshots_;
    const BuildOptions& options_;
    std::string work_, in_memory_;
    size_t made_ = 0, agents_ = 0;
    std::vector<FileLock> locks_;
    std::vector<std::unique_ptr<Mounted>> trees_;
    std::vector<std::unique_ptr<SshRelay>> relays_;
    std::vector<ExtraMount> mounts_;
    std::vector<std::string> environment_;
};
