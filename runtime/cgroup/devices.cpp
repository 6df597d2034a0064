#include "runtime/cgroup/devices.h"

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
bpf_insn load(int to, int offset) { return instruction(BPF_LDX | BPF_MEM | BPF_W, to, BPF_REG_1, offset, 0); }
bpf_insn set(int to, int value) { return instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
bpf_insn leave() { return instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

constexpr int type = BPF_REG_2, access_bits = BPF_REG_3, major = BPF_REG_4, minor = BPF_REG_5, scratch = BPF_REG_6;

int bits_of(const std::string& access) {
    if (access.empty()) return BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
    int bits = 0;
    for (const char c : access) {
        if (c == 'm') bits |= BPF_DEVCG_ACC_MKNOD;
        else if (c == 'r') bits |= BPF_DEVCG_ACC_READ;
        else if (c == 'w') bits |= BPF_DEVCG_ACC_WRITE;
        else throw Error("invalid access of a device rule: ", quoted(access));
    }
    return bits;
}

// One rule: comparisons that jump behind it, then its verdict.
void add(std::vector<bpf_insn>& program, const spec::DeviceRule& rule) {
    std::vector<bpf_insn> block;
    std::vector<size_t> jumps;
    const auto skip_if = [&](int condition, int reg, int value) {
        jumps.push_back(block.size());
        block.push_back(instruction(BPF_JMP | condition | BPF_K, reg, 0, 0, value));
    };
    if (rule.type == "b") skip_if(BPF_JNE, type, BPF_DEVCG_DEV_BLOCK);
    else if (rule.type == "c" || rule.type == "u") skip_if(BPF_JNE, type, BPF_DEVCG_DEV_CHAR);
    else if (!rule.type.empty() && rule.type != "a") throw Error("invalid type of a device rule: ", quoted(rule.type));
    const int bits = bits_of(rule.access);
    if (bits != 7) {
        // Allowed is what asks for nothing more; denied is what asks for any of it.
        block.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_X, scratch, access_bits, 0, 0));
        block.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, scratch, 0, 0, rule.allow ? ~bits & 7 : bits));
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
    std::vector<bpf_insn> program = {load(type, 0), load(access_bits, 0), load(major, 4), load(minor, 8)};
    program.push_back(instruction(BPF_ALU64 | BPF_AND | BPF_K, type, 0, 0, 0xffff));
    program.push_back(instruction(BPF_ALU64 | BPF_RSH | BPF_K, access_bits, 0, 0, 16));
    size_t first = 0;   // what stands before a rule for everything is never reached
    for (size_t i = 0; i < rules.size(); ++i)
        if ((rules[i].type.empty() || rules[i].type == "a") && bits_of(rules[i].access) == 7 && !rules[i].major && !rules[i].minor) first = i;
    bool final = false;
    for (size_t i = rules.size(); i-- > first;) {
        add(program, rules[i]);
        final = i == first && (rules[i].type.empty() || rules[i].type == "a") && bits_of(rules[i].access) == 7 && !rules[i].major && !rules[i].minor;
    }
    if (!final) program.push_back(set(BPF_REG_0, 0)), program.push_back(leave());  // the verifier refuses dead code
    return program;
}

std::string device_line(const spec::DeviceRule& rule) {
    if (rule.type.empty() || rule.type == "a") return "a";
    const auto number = [](std::optional<int64_t> n) { return n && *n >= 0 ? std::to_string(*n) : std::string("*"); };
    return str(rule.type, " ", number(rule.major), ":", number(rule.minor), " ", rule.access.empty() ? "rwm" : rule.access);
}

std::vector<spec::DeviceRule> with_default_devices(std::vector<spec::DeviceRule> rules) {
    static constexpr std::pair<int, int> nodes[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}, {136, -1}, {10, 200}};
    for (const char* type : {"c", "b"}) rules.push_back({.allow = true, .type = type, .access = "m"});
    for (const auto& [major, minor] : nodes)
        rules.push_back({.allow = true, .type = "c", .major = major, .minor = minor < 0 ? std::nullopt : std::optional<int64_t>(minor), .access = "rwm"});
    return rules;
}

namespace {

void attach_device_program(int cgroup, const std::vector<bpf_insn>& program) {
    bpf_attr load_it{};
    load_it.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    load_it.insns = reinterpret_cast<uint64_t>(program.data());
    load_it.insn_cnt = uint32_t(program.size());
    load_it.license = reinterpret_cast<uint64_t>("GPL");
    const UniqueFd loaded(int(check(::syscall(SYS_bpf, BPF_PROG_LOAD, &load_it, sizeof load_it), "loading the device rules")));
    bpf_attr attach_it{};
    attach_it.target_fd = uint32_t(cgroup);
    attach_it.attach_bpf_fd = uint32_t(loaded.get());
    attach_it.attach_type = BPF_CGROUP_DEVICE;
    attach_it.attach_flags = BPF_F_ALLOW_MULTI;
    check(::syscall(SYS_bpf, BPF_PROG_ATTACH, &attach_it, sizeof attach_it), "attaching the device rules");
}

}  // namespace

void limit_devices(const CgroupRecord& record, const CgroupRequest& request) {
    if (request.resources.devices.empty()) return;
    const std::vector<spec::DeviceRule> rules = with_default_devices(request.resources.devices);
    const auto directory = directory_of(record, "devices");
    // Who may not set rules cannot make devices either: nothing is lost.
    if (!directory && request.is_rootless()) return;
    if (!directory) throw Error("linux.resources.devices: controller devices not available");
    if (record.v2) {
        const UniqueFd group = sys::open(*directory, O_RDONLY | O_DIRECTORY);
        return attach_device_program(group.get(), device_program(rules));
    }
    for (const spec::DeviceRule& rule : rules)
        write_file(*directory + (rule.allow ? "/devices.allow" : "/devices.deny"), device_line(rule));
}
