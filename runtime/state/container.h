// A container on disk: <root>/<id>/ with state.json (what is to be made, written before anything is
// made, so that `delete --force` finds it after a kill), config.json (as it was at create: later
// changes have no effect) and a fifo on which init waits for `start`. Whether it runs is never
// stored: /proc and the cgroup know.
//
// Who changes a container holds its lock: a flock(2) on the directory itself, which ends with its
// holder. create has it from the directory's first moment on; start, update, checkpoint and delete
// wait for it. Who only looks (state, list, exec, kill, ps, events, pause) takes none; where it
// matters whether somebody holds it he asks with a shared one, which keeps no other looker away,
// and for which create waits. What is seen, then:
//
//      directory  state.json  pid    fifo         lock  it is
//      none       -           -      -            -     not there
//      there      none        -      -            held  not there: create begins, delete ends
//      there      none        -      -            free  stopped; with config or fifo: as below
//      there      unreadable  -      -            any   an error, but for delete --force (recover)
//      there      there       0      -            held  creating
//      there      there       0      -            free  stopped: its create was killed
//      there      there       dead   any          any   stopped
//      there      there       alive  create.fifo  any   creating; free: create may have been killed
//      there      there       alive  exec.fifo    any   created as long as init has it open; then
//      there      there       alive  none         any   running
//      the last two, with a frozen cgroup               paused
//
// So state.json comes first and goes last, and the fifo has the name that `start` looks for only
// when create is done.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/unique_fd.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/cgroup/intel_rdt.h"
#include "spec/runtime.h"
#include "spec/state.h"

// A mount on the host that is the container's, and those that other containers had at the same
// place then: what of them could not go before this one, as it lay below, goes after it. By the
// kernel's numbers for mounts.
struct HostMount {
    uint64_t id = 0;
    std::vector<uint64_t> below;
};

// What state.json holds.
struct Record {
    std::string id, bundle, rootfs, created;
    int pid = 0;              // of init; 0 until it is born
    uint64_t start_time = 0;  // of that pid: another process may get the number later
    uint32_t owner = 0;       // who created it
    spec::Annotations annotations;
    bool private_pids = true;  // the death of init kills all
    bool no_new_keyring =
        false;  // processes that join it keep their caller's, as the first one did
    bool poststart_hooks = false,
         poststop_hooks = false;          // whether the config is worth reading for them
    std::optional<HostMount> host_mount;  // over its root, without a mount namespace of its own
    CgroupRecord cgroup;
    std::optional<RdtRecord> intel_rdt;
};

// <root>/<id> in the making: removed by the destructor unless keep() is called.
class StateDir {
public:
    // Throws Error if the id is malformed or taken.
    static StateDir create(const std::string& root, const std::string& id);
    StateDir(StateDir&& other) noexcept
        : path_(std::move(other.path_)), lock_(std::move(other.lock_)),
          armed_(std::exchange(other.armed_, false)) {}
    ~StateDir();

    void save(const Record& record) const;
    void save_config(std::string_view text) const;
    // Gives its descriptor for init: open for both directions, so that it never blocks to open.
    UniqueFd make_exec_fifo() const;
    // The end of create: from here on it is "created".
    void open_for_start() const;
    // It stays. Gives the lock, which holds for as long as the descriptor is open.
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

// What commands may do to a container in which state.
struct StateRule {
    Status status;
    const char* name;
    bool start, exec, pause, resume, remove, checkpoint,
        watch;  // remove: without --force; watch: update, events
};
const StateRule& rule_of(Status status);

class Container {
public:
    // What a state that cannot be understood means: an error that names the file; or that as much
    // of the container is found as can be told without it, with a warning. One that may not be read
    // is an error either way.
    enum class Damage { refuse, recover };
    // Throws Error "container does not exist".
    static Container load(const std::string& root, const std::string& id);
    static std::optional<Container> load_if_exists(const std::string& root, const std::string& id,
                                                   Damage damage = Damage::refuse);
    // One that cannot be loaded is named in a warning and hides no other. Throws SysError if `root`
    // cannot be read.
    static std::vector<Container> all(const std::string& root);
    // The one with that id, or all (as above) whose id the POSIX extended regular expression
    // matches somewhere.
    static std::vector<Container> named(const std::string& root, const std::string& id, bool regex,
                                        Damage damage = Damage::refuse);
    // The one that was just made.
    static Container made(StateDir dir, Record record);

    const Record& record() const { return record_; }
    const std::string& id() const { return record_.id; }
    const std::string& directory() const { return path_; }  // of its state
    Status status() const;
    spec::Config config() const;  // as it was at create
    spec::State state(bool with_owner = false) const;
    spec::State state(Status status) const;  // as hooks see it
    Cgroup cgroup() const;

    // The mounts on the host of all of a state root's containers but one. Throws if one cannot be
    // read: it may have one.
    static std::vector<uint64_t> host_mounts_of_others(const std::string& root,
                                                       const std::string& own);

    // Waits until no other command changes the container, keeps others away as long as this object
    // lives, and reads its state again. False if it was removed meanwhile. Throws Error after 10
    // seconds.
    bool lock();
    // The same for delete --force, when all of the container is killed: a create that holds the
    // lock ends by that. One that has not after 3 seconds (it is stopped, or sleeps in the kernel)
    // is killed.
    bool lock_to_remove();

    bool init_is_alive() const;
    // Of all its processes: its cgroup's, or without one those of its pid namespace.
    std::vector<int> pids() const;
    // Lets init go on, waits until it has executed the program (or ended: for as long as its
    // startContainer hooks take), runs poststart hooks. If one of these fails, the container is
    // destroyed.
    void start();
    // Throws Error "container not running" if there is nobody.
    void signal(int number, bool all = false) const;
    // What update found out; the rest of it is as it was.
    void save(const Record& record) const;
    // SIGKILL to all there is, and waits until they are gone: at most 8 seconds with a cgroup, then
    // throws; without one 2 seconds for init.
    void kill_all() const;
    // Kills what is left, removes the cgroup and whatever else was made outside, each whatever
    // becomes of the others. Then it runs the poststop hooks and removes the state; if something
    // could not be removed it throws instead, and the state stays to find it by. What was done by a
    // delete that was killed half-way is simply not there any more.
    void destroy();

private:
    friend StateDir;  // which waits for the lock in the same way
    Container(std::string path, Record record)
        : path_(std::move(path)), record_(std::move(record)) {}
    enum class Lock { taken, held, gone };
    static Lock try_lock(int directory, int how);
    static Lock wait_for_lock(int directory, int milliseconds);
    static std::optional<Container> look(const std::string& root, const std::string& id,
                                         Damage damage);
    bool have_lock(UniqueFd directory);
    std::string fifo() const { return path_ + "/exec.fifo"; }
    void unmount_from_host() const;
    UniqueFd open_init() const;
    std::string path_;
    Record record_;
    bool unborn_ = false;     // when the record was read somebody was about to make init
    bool recovered_ = false;  // from what lies beside a state.json that says nothing
    UniqueFd lock_;
};

// Throws Error "invalid container ID format: …" unless it is [A-Za-z0-9_+.-]+ and not "." or "..".
void check_id(const std::string& id);
// From /proc/PID/stat: the start time, nothing if the process is gone or a zombie. One whose main
// thread has ended lives as long as another thread does.
std::optional<uint64_t> start_time_of(int pid);
// The file appears complete, in place of one that is there; a device, FIFO or the like that has the
// name is written to.
void write_pid_file(const std::string& path, int pid);
