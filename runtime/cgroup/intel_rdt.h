// Shares of the processor's caches and of memory bandwidth (Intel's Resource Director Technology
// and its like), given out by groups in a resctrl file system. Who may make and remove a group is
// the hard part: the spec says it per case, and the plan says which of them it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spec/runtime.h"

// What is stored in the state.
struct RdtRecord {
    std::string group;    // directory of the class of service
    bool own = false;     // made for this container alone: removed with it
    std::string monitor;  // directory of its monitoring group, or ""
};

struct RdtPlan {
    std::string group;  // below the resctrl root; "" is the root itself
    bool named =
        false;  // by closID: it is never removed, and what it says must be what is asked for
    bool must_exist = false;
    std::vector<std::string> schemata;  // lines, in their order
    std::string monitor;                // name of the monitoring group, or ""
};
RdtPlan plan_intel_rdt(const spec::IntelRdt& wanted, const std::string& id);
// Whether a group's schemata say what a line asks for: "L3:0=7f0;1=1f", with more blanks and zeros
// or without.
bool schemata_say(std::string_view schemata, std::string_view line);
// The mount point of a resctrl file system in /proc/self/mountinfo; nothing if there is none.
std::optional<std::string> find_resctrl(std::string_view mountinfo);
// The same of this machine; throws Error.
std::string resctrl_root();

// Where they will be, before they are made: `own` if nobody made the group before.
RdtRecord place_intel_rdt(const RdtPlan& plan, const std::string& root);

// A container's groups; the destructor removes what was made unless keep() is called.
class IntelRdt {
public:
    static IntelRdt create(const RdtPlan& plan, const std::string& root);
    IntelRdt(IntelRdt&& other) noexcept
        : record_(std::move(other.record_)), made_(other.made_),
          armed_(std::exchange(other.armed_, false)) {}
    ~IntelRdt();
    const RdtRecord& record() const { return record_; }
    void keep() { armed_ = false; }

private:
    explicit IntelRdt(RdtRecord record) : record_(std::move(record)) {}
    RdtRecord record_;
    bool made_ = false;  // a named group, too, goes again if the container does not come to be
    bool armed_ = true;
};
void join_intel_rdt(const RdtRecord& record, int pid);
// The group that is asked for, with the process in it; nothing if none is.
std::optional<IntelRdt> enter_intel_rdt(const std::optional<RdtPlan>& plan, const std::string& root,
                                        int pid);
void write_schemata(const RdtRecord& record, const std::vector<std::string>& lines);
// The same, all of them or none; gives the lines that take it back.
std::vector<std::string> update_schemata(const RdtRecord& record,
                                         const std::vector<std::string>& lines);
void remove_intel_rdt(const RdtRecord& record);

struct L3CacheInfo {
    std::string cbm_mask;
    uint64_t min_cbm_bits = 0, num_closids = 0;
};
struct MemBwInfo {
    uint64_t bandwidth_gran = 0, delay_linear = 0, min_bandwidth = 0, num_closids = 0;
};
struct MbmStats {
    uint64_t total_bytes = 0, local_bytes = 0;
};  // of one NUMA node
struct CmtStats {
    uint64_t llc_occupancy = 0;
};
struct RdtStats {
    std::optional<L3CacheInfo> l3_cache_info;
    std::string l3_cache_schema_root, l3_cache_schema;
    std::optional<MemBwInfo> mem_bw_info;
    std::string mem_bw_schema_root, mem_bw_schema;
    std::vector<MbmStats> mbm;
    std::vector<CmtStats> cmt;
    std::vector<std::string> schemata;
};
RdtStats read_rdt_stats(const RdtRecord& record, const std::string& root);
