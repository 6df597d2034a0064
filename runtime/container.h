// A container on disk: <root>/<id>/ with state.json (what is to be made, written before anything is
// made, so that `delete --force` finds it after a kill), config.json (as it was at create: later
// changes have no effect) and exec.fifo (there while the container waits for `start`). Whether it
// runs is never stored: /proc and the cgroup know.
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
    std::string oci_version, id, bundle, rootfs, created;
    int pid = 0;                     // of init; 0 until it is born
    uint64_t start_time = 0;         // of that pid: another process may get the number later
    uint32_t owner = 0;              // who created it
    spec::Annotations annotations;
    bool private_pids = true;        // the death of init kills all
    CgroupRecord cgroup;
    std::optional<RdtRecord> intel_rdt;
};

// <root>/<id> in the making: removed by the destructor unless keep() is called.
class StateDir {
public:
    // Throws Error if the id is malformed or taken.
    static StateDir create(const std::string& root, const std::string& id);
    StateDir(StateDir&& other) noexcept : path_(std::move(other.path_)), armed_(std::exchange(other.armed_, false)) {}
    ~StateDir();

    void save(const Record& record) const;
    void save_config(std::string_view text) const;
    // Gives its descriptor for init: open for both directions, so that it never blocks to open.
    UniqueFd make_exec_fifo() const;
    void keep() { armed_ = false; }
    const std::string& path() const { return path_; }

private:
    explicit StateDir(std::string path) : path_(std::move(path)) {}
    std::string path_;
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

    const Record& record() const { return record_; }
    const std::string& id() const { return record_.id; }
    Status status() const;
    spec::Config config() const;                 // as it was at create
    spec::State state(bool with_owner = false) const;
    spec::State state(Status status) const;      // as hooks see it
    Cgroup cgroup() const;

    bool init_is_alive() const;
    // Lets init go on, waits until it has executed the program (or ended), runs poststart hooks.
    void start() const;
    // Throws Error "container not running" if there is nobody.
    void signal(int number, bool all = false) const;
    // What update found out; the rest of it is as it was.
    void save(const Record& record) const;
    // Kills what is left, removes cgroup and state, runs poststop hooks.
    void destroy() const;

private:
    Container(std::string path, Record record) : path_(std::move(path)), record_(std::move(record)) {}
    std::string fifo() const { return path_ + "/exec.fifo"; }
    std::string path_;
    Record record_;
};

// Throws Error "invalid container ID format: …" unless it is [A-Za-z0-9_+.-]+ and not "." or "..".
void check_id(const std::string& id);
// From /proc/PID/stat: the start time, nothing if the process is gone or a zombie.
std::optional<uint64_t> start_time_of(int pid);
void write_pid_file(const std::string& path, int pid);
