// Of config.json's rules the last that fits decides. v1 is told one after the other and does just
// that; but "a" means everything there, whatever stands behind it, so a rule for any type becomes
// two. v2 has a program of ours, which asks the rules from the last to the first and gives the
// answer of the first that fits. It ends behind a rule that fits all: the verifier refuses code
// that is never reached. Where several programs are attached all must allow, and at no time may
// there be none: ours replaces a single old one in one step, or is there before the others go.
#include "runtime/cgroup/devices.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "base/unique_fd.h"
#include "runtime/cgroup/limits.h"

namespace {

bpf_insn instruction(int code, int to, int from, int offset, int value) {
    bpf_insn made{};
    made.code = __u8(code), made.dst_reg = __u8(to & 15), made.src_reg = __u8(from & 15);
    made.off = __s16(offset), made.imm = value;
    return made;
}
bpf_insn load(int to, int offset) {
    return instruction(BPF_LDX | BPF_MEM | BPF_W, to, BPF_REG_1, offset, 0);
}
bpf_insn set(int to, int value) {
    return instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value);
}
bpf_insn leave() { return instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

constexpr int type = BPF_REG_2, access_bits = BPF_REG_3, major = BPF_REG_4, minor = BPF_REG_5,
              scratch = BPF_REG_6;

int bits_of(const std::string& access) {
    if (access.empty()) return BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
    int bits = 0;
    for (const char c : access) {
        if (c == 'm')
            bits |= BPF_DEVCG_ACC_MKNOD;
        else if (c == 'r')
            bits |= BPF_DEVCG_ACC_READ;
        else if (c == 'w')
            bits |= BPF_DEVCG_ACC_WRITE;
        else
            throw Error("linux.resources.devices: invalid access of a device rule: ",
                        quoted(access));
    }
    return bits;
}

bool is_of_any_type(const spec::DeviceRule& rule) { return rule.type.empty() || rule.type == "a"; }

bool is_for_all(const spec::DeviceRule& rule) {
    return is_of_any_type(rule) && bits_of(rule.access) == 7 && rule.major.value_or(-1) < 0 &&
           rule.minor.value_or(-1) < 0;
}

// One rule: comparisons that jump behind it, then its verdict.
void add_rule(std::vector<bpf_insn>& program, const spec::DeviceRule& rule) {
    std::vector<bpf_insn> block;
    std::vector<size_t> jumps;
    const auto skip_if = [&](int condition, int reg, int value) {
        jumps.push_back(block.size());
        block.push_back(instruction(BPF_JMP | condition | BPF_K, reg, 0, 0, value));
    };
    if (rule.type == "b")
        skip_if(BPF_JNE, type, BPF_DEVCG_DEV_BLOCK);
    else if (rule.type == "c" || rule.type == "u")
        skip_if(BPF_JNE, type, BPF_DEVCG_DEV_CHAR);
    else if (!rule.type.empty() && rule.type != "a")
        throw Error("linux.resources.devices: invalid type of a device rule: ", quoted(rule.type));
    const int bits = bits_of(rule.access);
    if (bits != 7) {
        // Allowed is what asks for nothing more; denied is what asks for any of it.
        block.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_X, scratch, access_bits, 0, 0));
        block.push_back(
            instruction(BPF_ALU64 | BPF_AND | BPF_K, scratch, 0, 0, rule.allow ? ~bits & 7 : bits));
        skip_if(rule.allow ? BPF_JNE : BPF_JEQ, scratch, 0);
    }
    if (rule.major && *rule.major >= 0) skip_if(BPF_JNE, major, int(*rule.major));
    if (rule.minor && *rule.minor >= 0) skip_if(BPF_JNE, minor, int(*rule.minor));
    block.push_back(set(BPF_REG_0, rule.allow ? 1 : 0));
    block.push_back(leave());
    for (const size_t at : jumps) block[at].off = __s16(block.size() - at - 1);
    program.insert(program.end(), block.begin(), block.end());
}

}  // namespace

std::vector<bpf_insn> device_program(const std::vector<spec::DeviceRule>& rules) {
    std::vector<bpf_insn> program = {load(type, 0), load(access_bits, 0), load(major, 4),
                                     load(minor, 8)};
    program.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, type, 0, 0, 0xffff));
    program.push_back(instruction(BPF_ALU64 | BPF_RSH | BPF_K, access_bits, 0, 0, 16));
    bool final = false;  // whether the last rule looked at decides whatever comes to it
    for (auto rule = rules.rbegin(); rule != rules.rend() && !final; ++rule) {
        add_rule(program, *rule);
        final = is_for_all(*rule);
    }
    if (!final)
        program.push_back(set(BPF_REG_0, 0)),
            program.push_back(leave());  // the verifier refuses dead code
    return program;
}

std::string device_line(const spec::DeviceRule& rule) {
    if (is_for_all(rule)) return "a";
    const auto number = [](std::optional<int64_t> n) {
        return n && *n >= 0 ? std::to_string(*n) : std::string("*");
    };
    return str(rule.type, " ", number(rule.major), ":", number(rule.minor), " ",
               rule.access.empty() ? "rwm" : rule.access);
}

DevicePlan plan_devices(const std::vector<spec::DeviceRule>& wanted) {
    static constexpr std::pair<int, int> nodes[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8},    {1, 9},
                                                    {5, 0}, {5, 1}, {5, 2}, {136, -1}, {10, 200}};
    DevicePlan plan;
    plan.asked = {{.allow = false}};
    for (const spec::DeviceRule& rule : wanted) {
        if (is_for_all(rule)) plan.asked.clear();  // what stands before it no longer matters
        if (is_for_all(rule) || !is_of_any_type(rule)) {
            plan.asked.push_back(rule);
            continue;
        }
        // v1 takes "a" for everything, whatever stands behind it.
        for (const char* each : {"b", "c"})
            plan.asked.push_back({rule.allow, each, rule.major, rule.minor, rule.access});
    }
    if (plan.allows_all()) return plan;
    for (const char* each : {"c", "b"})
        plan.always.push_back({.allow = true, .type = each, .access = "m"});
    for (const auto& [first, second] : nodes)
        plan.always.push_back(
            {.allow = true, .type = "c", .major = first, .minor = second, .access = "rwm"});
    return plan;
}

namespace {

int bpf(int command, bpf_attr& attributes) {
    return int(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

// Before 5.11 programs counted as locked memory; who may not raise that limit may have enough of
// it.
UniqueFd load_program(const std::vector<bpf_insn>& program) {
    bpf_attr attributes{};
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insns = reinterpret_cast<uint64_t>(program.data());
    attributes.insn_cnt = uint32_t(program.size());
    attributes.license = reinterpret_cast<uint64_t>("GPL");
    UniqueFd loaded(bpf(BPF_PROG_LOAD, attributes));
    if (loaded || errno != EPERM) return loaded;
    constexpr rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    if (::setrlimit(RLIMIT_MEMLOCK, &unlimited) < 0) {
        errno = EPERM;
        return loaded;
    }
    return UniqueFd(bpf(BPF_PROG_LOAD, attributes));
}

// Those of a former container in the same cgroup, or systemd's.
std::vector<UniqueFd> attached_programs(int cgroup) {
    std::vector<uint32_t> ids(64);
    bpf_attr attributes{};
    attributes.query.target_fd = uint32_t(cgroup);
    attributes.query.attach_type = BPF_CGROUP_DEVICE;
    attributes.query.prog_ids = reinterpret_cast<uint64_t>(ids.data());
    attributes.query.prog_cnt = uint32_t(ids.size());
    if (bpf(BPF_PROG_QUERY, attributes) < 0) return {};
    ids.resize(attributes.query.prog_cnt);
    std::vector<UniqueFd> programs;
    for (const uint32_t id : ids) {
        bpf_attr wanted{};
        wanted.prog_id = id;
        if (UniqueFd program(bpf(BPF_PROG_GET_FD_BY_ID, wanted)); program)
            programs.push_back(std::move(program));
    }
    return programs;
}

// All programs of a cgroup must allow an access, so the old ones have to go: a single one is
// replaced in one step, and at no time is there none.
void attach_program(int cgroup, int program) {
    const std::vector<UniqueFd> former = attached_programs(cgroup);
    bpf_attr attributes{};
    attributes.target_fd = uint32_t(cgroup);
    attributes.attach_bpf_fd = uint32_t(program);
    attributes.attach_type = BPF_CGROUP_DEVICE;
    attributes.attach_flags = BPF_F_ALLOW_MULTI;
    if (former.size() == 1) {
        bpf_attr replacing = attributes;
        replacing.attach_flags |= BPF_F_REPLACE;
        replacing.replace_bpf_fd = uint32_t(former[0].get());
        if (bpf(BPF_PROG_ATTACH, replacing) == 0) return;
    }
    check(bpf(BPF_PROG_ATTACH, attributes), "attaching the device rules");
    for (const UniqueFd& old : former) {
        bpf_attr detaching = attributes;
        detaching.attach_bpf_fd = uint32_t(old.get());
        detaching.attach_flags = 0;
        check(bpf(BPF_PROG_DETACH, detaching), "detaching former device rules");
    }
}

void limit_v2(const std::string& directory, const DevicePlan& plan, bool rootless) {
    if (plan.allows_all()) return;
    std::vector<spec::DeviceRule> rules = plan.asked;
    rules.insert(rules.end(), plan.always.begin(), plan.always.end());
    const UniqueFd group = sys::open(directory, O_RDONLY | O_DIRECTORY);
    const UniqueFd program = load_program(device_program(rules));
    if (!program && errno == EPERM && rootless) return;
    check(program.get(), "loading the device rules");
    attach_program(group.get(), program.get());
}

void limit_v1(const std::string& directory, const DevicePlan& plan, bool rootless) {
    const UniqueFd allow = sys::open(directory + "/devices.allow", O_WRONLY),
                   deny = sys::open(directory + "/devices.deny", O_WRONLY);
    for (const spec::DeviceRule& rule : plan.asked) {
        const std::string line = device_line(rule);
        if (::write((rule.allow ? allow : deny).get(), line.data(), line.size()) >= 0) continue;
        if (errno == EPERM && rootless)
            return;  // the kernel wants root of the host, who then is not there to be held back
        throw SysError("linux.resources.devices: failed to write ", quoted(line), ": write ",
                       directory, rule.allow ? "/devices.allow" : "/devices.deny");
    }
    for (const spec::DeviceRule& rule : plan.always) {
        const std::string line = device_line(rule);
        // EPERM: the group above does not have it, so nobody in here expects it.
        if (::write(allow.get(), line.data(), line.size()) < 0 && errno != EPERM)
            throw SysError("linux.resources.devices: failed to write ", quoted(line), ": write ",
                           directory, "/devices.allow");
    }
}

}  // namespace

void limit_devices(const CgroupRecord& record, const CgroupRequest& request) {
    const DevicePlan plan = plan_devices(request.resources.devices);
    const auto directory = directory_of(record, "devices");
    if (directory && record.v2) return limit_v2(*directory, plan, request.is_rootless());
    if (directory) return limit_v1(*directory, plan, request.is_rootless());
    // Without the controller there are no walls; who is not root has others: he cannot make
    // devices.
    if (!request.is_rootless() && !plan.allows_all())
        throw Error("linux.resources.devices: controller \"devices\" not available");
}
