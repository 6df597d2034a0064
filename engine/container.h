// A container on disk: ROOT/containers/ID/ with
//   settings.json   what it was asked to be; written once, last: without it all is half-made
//   state.json      what became of it; replaced atomically
//   state.end       room for the last state, taken early: a full disk hides no exit code
//   lock            flock-ed by its maker, then by its monitor, for as long as they live; in it the
//                   exit code, and whether somebody has asked for the end
//   health.json     what its health checks said
//   changing        flock-ed by whoever makes, starts or removes it, for as long as that takes
//   self-removing   an empty file, if it goes with its end (--rm)
//   log, log.1 …    its output, in Docker's json-file form
//   mounts          what is mounted on the host for it, besides rootfs
//   config.json, rootfs, upper, work, hosts, hostname, resolv.conf: the bundle and what it mounts
// and ROOT/containers/names/NAME, which holds the ID. Any process may be killed anywhere: whoever
// finds a half-made directory whose lock is free removes it, and a name that leads nowhere is free.
//
// What is hard: "alive" and "being changed" are two questions, so there are two locks. Who holds
// `lock` but not `changing` has a running container, and state.json says so, or is just ending; so
// whoever has `changing` and finds that it does not run waits for `lock` only as long as an end
// takes. A file that cannot be read (a power cut, a full disk, a bad block) is neither taken for
// absent nor stands in the way of the other containers: the container is damaged, which is said,
// and only `rm -f` takes it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "container/identity.h"
#include "container/network_state.h"
#include "engine/settings.h"

struct State {
    // created running paused restarting exited; dead: state.json is damaged
    std::string status = "created";
    std::string boot;  // of the machine in which `pid` is meant
    int restart_count = 0;
    pid_t pid = 0;
    uint64_t pid_started =
        0;  // start time of that pid, so that another process is not taken for it
    int exit_code = 0;
    bool oom_killed = false;
    std::string error, started_at, finished_at;
    NetworkState network;                     // the first one, with the ports
    std::vector<NetworkState> more_networks;  // the others
};

class Containers;

class Container {
public:
    const std::string& id() const { return settings_.id; }
    const Settings& settings() const { return settings_; }
    const std::string& directory() const { return directory_; }
    std::string file(const std::string& name) const { return directory_ + "/" + name; }

    // What is wrong with settings.json; "": nothing. Of a damaged container only the ID and the
    // name are known.
    const std::string& damage() const { return damage_; }

    // As it is now: a container whose process died without a monitor to say so has exited (255).
    State state() const;
    State last_state() const;  // as it was written; a process of before the last boot is none
    // Somebody wants it to end, and to stay so: a restart policy does not hold until it is started
    // again. Noted in the lock's file, where it needs no room.
    void ask_to_stop() const;
    bool is_asked_to_stop() const;
    // Durable, unless the container goes with its end anyway.
    void save(const State& state) const;
    // Takes the place that save_end() needs.
    void reserve_end() const;
    void save_end(const State& state) const;
    // Waits for whoever makes, starts or removes it, and keeps others from that. Removed meanwhile:
    // nothing. Throws if that takes a minute.
    std::optional<FileLock> begin_change() const;
    // Of the monitor; nothing: one is alive.
    std::optional<FileLock> try_lock() const;
    // For who began a change and found that it does not run: waits for a monitor that is ending, at
    // most a minute. Removed meanwhile: nothing.
    std::optional<FileLock> lock() const;

private:
    friend class Containers;
    Durability durability() const {
        return settings_.auto_remove ? Durability::rename_only : Durability::fsync;
    }
    std::string directory_, damage_;
    Settings settings_;
};

// In the lock's file there are the exit code, as text, and whether an end was asked for, in so many
// bytes: room that is taken at the start.
inline constexpr size_t size_of_exit_note = 16, size_of_lock_file = 32;

// What a monitor inherits from whoever starts it.
struct StartLocks {
    FileLock life, change;
};

class Containers {
public:
    explicit Containers(std::string store_root);

    struct Made {
        Container container;
        StartLocks locks;
    };
    // Makes it, takes its name (a random one if settings.name is empty); throws Docker's conflict
    // text, and for settings that cannot be (check_settings), before anything is made.
    Made create(Settings settings) const;
    // Newest first. Damaged ones are named on stderr, once, and left out.
    std::vector<Container> list() const;
    std::vector<Container> damaged() const;
    std::optional<Container> find(const std::string& name_or_id) const;  // throws for a damaged one
    std::optional<Container> find_even_damaged(const std::string& name_or_id) const;
    Container get(const std::string& name_or_id) const;  // throws "No such container: x"
    void rename(const Container& container, const std::string& name) const;
    // For who holds a change of it.
    void save_settings(const Container& container, const Settings& settings) const;
    // Frees the name and removes all files; the caller holds the lock and has undone its mounts.
    void remove(const Container& container) const;
    // The part of remove() after which no other command sees it; gives what is left to delete.
    std::string hide(const Container& container) const;
    // What dead processes left: half-made and half-removed containers.
    void collect() const;
    const std::string& store_root() const { return store_root_; }

private:
    std::vector<Container> all() const;
    std::optional<Container> load(const std::string& id) const;
    std::string name_leading_to(const std::string& id) const;
    bool is_left(const std::string& directory_name) const;
    std::optional<std::string> owner_of(const std::string& name) const;
    void take_name(const std::string& name, const std::string& id) const;
    std::string store_root_, root_;
};
