// A container on disk: <root>/<id>/ with state.json (what is to be made, written before anything is
// made, so that `delete --force` finds it after a kill), config.json (as it was at create: later
// changes have no effect) and exec.fifo (there while the container waits for `start`; its mode says
// whether create has ended). Whether it runs is never stored: /proc and the cgroup know.
//
// create, start and delete hold a lock on the directory itself (flock, which ends with its holder), so
// that of two at once each sees what the other made of the container. Whoever only looks takes none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/unique_fd.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/intel_rdt.h"
#include "spec/runtime.h"
#include "spec/state.h"

// What state.json holds.
struct Record {
    std::string id, bundle, rootfs, created;
    int pid = 0;                     // of init; 0 until it is born
    uint64_t start_time = 0;         // of that pid: another process may get the number later
    uint32_t owner = 0;              // who created it
    spec::Annotations annotations;
    bool private_pids = true;        // the death of init kills all
    bool no_new_keyring = false;     // processes that join it keep their caller's, as the first one did
    bool poststart_hooks = false, poststop_hooks = false;   // whether the config is worth reading for them
    std::optional<int> host_mounts;  // without a mount namespace of its own: mounts on the root before it came
    CgroupRecord cgroup;
    std::optional<RdtRecord> intel_rdt;
};

// <root>/<id> in the making: removed by the destructor unless keep() is called.
class StateDir {
public:
    // Throws Error if the id is malformed or taken.
    static StateDir create(const std::string& root, const std::string& id);
    StateDir(StateDir&& other) noexcept
        : path_(std::move(other.path_)), lock_(std::move(other.lock_)), armed_(std::exchange(other.armed_, false)) {}
    ~StateDir();

    void save(const Record& record) const;
    void save_config(std::string_view text) const;
    // Gives its descriptor for init: open for both directions, so that it never blocks to open.
    UniqueFd make_exec_fifo() const;
    // The end of create: from here on it is "created".
    void open_for_start(int fifo) const;
    // It stays, and the lock is whose who takes it over.
    UniqueFd keep() {
        armed_ = false;
        return std::move(lock_);
    }
    // For init, whose copy of the lock would outlive a creator that is killed.
    void forget_lock() { lock_.reset(); }
    const std::string& path() const { return path_; }

private:
    StateDir(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
    std::string path_;
    UniqueFd lock_;
    bool armed_ = true;
};

enum class Status { creating, created, running, paused, stopped };
const char* status_name(Status status);

class Container {
public:
    // Throws Error "container does not exist".
    static Container load(const std::string& root, const std::string& id);
    static std::optional<Container> load_if_exists(const std::string& root, const std::string& id);
    static std::vector<Container> all(const std::string& root);
    // The one with that id, or all whose id the POSIX extended regular expression matches somewhere.
    static std::vector<Container> named(const std::string& root, const std::string& id, bool regex);
    // The one that was just made.
    static Container made(StateDir dir, Record record);

    const Record& record() const { return record_; }
    const std::string& id() const { return record_.id; }
    const std::string& directory() const { return path_; }   // of its state
    Status status() const;
    spec::Config config() const;                 // as it was at create
    spec::State state(bool with_owner = false) const;
    spec::State state(Status status) const;      // as hooks see it
    Cgroup cgroup() const;

    // Waits until no other command changes the container, keeps others away as long as this object
    // lives, and reads its state again. False if it was removed meanwhile.
    bool lock();

    bool init_is_alive() const;
    // Of all its processes: its cgroup's, or without one those of its pid namespace.
    std::vector<int> pids() const;
    // Lets init go on, waits until it has executed the program (or ended), runs poststart hooks. If one
    // of these fails, the container is destroyed.
    void start();
    // Throws Error "container not running" if there is nobody.
    void signal(int number, bool all = false) const;
    // What update found out; the rest of it is as it was.
    void save(const Record& record) const;
    // SIGKILL to all there is, and waits until they are gone.
    void kill_all() const;
    // Kills what is left, removes the cgroup, runs poststop hooks, removes the state. What was done by
    // a delete that was killed half-way is simply not there any more.
    void destroy();

private:
    Container(std::string path, Record record) : path_(std::move(path)), record_(std::move(record)) {}
    static Container read(const std::string& path, const std::string& id);
    std::string fifo() const { return path_ + "/exec.fifo"; }
    bool is_locked_by_another() const;
    UniqueFd open_init() const;
    std::string path_;
    Record record_;
    bool unborn_ = false;    // when the record was read somebody was about to make init
    UniqueFd lock_;
};

// Throws Error "invalid container ID format: …" unless it is [A-Za-z0-9_+.-]+ and not "." or "..".
void check_id(const std::string& id);
// From /proc/PID/stat: the start time, nothing if the process is gone or a zombie.
std::optional<uint64_t> start_time_of(int pid);
void write_pid_file(const std::string& path, int pid);
