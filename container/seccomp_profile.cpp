// The default profile is data (seccomp.json), read when a container is made: the kernel's calls
// grow, and who compares it with Docker's compares two files of one form. What is hard: a rule that
// is misread opens or closes a door without anybody noticing. So a property that is not known is
// refused, not skipped: "exclude" for "excludes" would be a rule for everybody. Where the kernel
// reads an int, the profile compares 32 bits (SCMP_CMP_MASKED_EQ): with 64, socket(AF_VSOCK |
// 1<<32) would be another family for the filter and the same one for the kernel.
#include "container/seccomp_profile.h"

#include <sys/utsname.h>

#include <algorithm>

#include "base/json.h"
#include "container/seccomp_json.h"
#include "spec/capabilities.h"
#include "spec/validate.h"

namespace {

struct ArchitectureMap {
    std::string architecture;
    std::vector<std::string> sub_architectures;
};
struct Conditions {
    std::vector<std::string> capabilities, architectures;
    std::string least_kernel;
};
struct Argument {
    uint32_t index = 0;
    uint64_t value = 0, value_two = 0;
    std::string op;
};
struct ProfileRule {
    std::string name;  // the old form: one call
    std::vector<std::string> names;
    std::string action, comment;
    std::optional<uint32_t> errno_ret;
    std::vector<Argument> args;
    Conditions includes, excludes;
};
struct Profile {
    std::string default_action;
    std::optional<uint32_t> default_errno_ret;
    std::vector<std::string> architectures;
    std::vector<ArchitectureMap> architecture_map;
    std::optional<std::vector<std::string>> flags;
    std::string listener_path, listener_metadata;
    std::vector<ProfileRule> syscalls;
};

}  // namespace

template <>
inline constexpr auto json::fields<ArchitectureMap> =
    std::tuple(json::required("architecture", &ArchitectureMap::architecture),
               json::required("subArchitectures", &ArchitectureMap::sub_architectures));
template <>
inline constexpr auto json::fields<Conditions> =
    std::tuple(json::optional("caps", &Conditions::capabilities),
               json::optional("arches", &Conditions::architectures),
               json::optional("minKernel", &Conditions::least_kernel));
template <>
inline constexpr auto json::fields<Argument> =
    std::tuple(json::required("index", &Argument::index), json::required("value", &Argument::value),
               json::optional("valueTwo", &Argument::value_two),
               json::required("op", &Argument::op));
template <>
inline constexpr auto json::fields<ProfileRule> = std::tuple(
    json::optional("name", &ProfileRule::name), json::optional("names", &ProfileRule::names),
    json::required("action", &ProfileRule::action),
    json::optional("errnoRet", &ProfileRule::errno_ret), json::optional("args", &ProfileRule::args),
    json::optional("comment", &ProfileRule::comment),
    json::optional("includes", &ProfileRule::includes),
    json::optional("excludes", &ProfileRule::excludes));
template <>
inline constexpr auto json::fields<Profile> =
    std::tuple(json::required("defaultAction", &Profile::default_action),
               json::optional("defaultErrnoRet", &Profile::default_errno_ret),
               json::optional("architectures", &Profile::architectures),
               json::optional("archMap", &Profile::architecture_map),
               json::optional("flags", &Profile::flags),
               json::optional("listenerPath", &Profile::listener_path),
               json::optional("listenerMetadata", &Profile::listener_metadata),
               json::required("syscalls", &Profile::syscalls));

namespace {

template <class... Words>
[[noreturn]] void wrong(const json::Place& part, const Words&... words) {
    json::at(part, [&]() -> void { throw Error(words...); });
    std::unreachable();
}

template <class Struct>
void refuse_unknown(const json::Value& object) {
    for (const auto& [key, value] : object.items()) {
        const auto is_key = [&typed = key](const auto&... field) {
            return ((typed == field.name) || ...);
        };
        if (!std::apply(is_key, json::fields<Struct>))
            throw Error("unknown property ", quoted(key));
    }
}

void refuse_unknown_in_rule(const json::Value& rule) {
    if (!rule.is_object()) return;  // null: one without anything, which as_rule() refuses
    refuse_unknown<ProfileRule>(rule);
    for (const char* part : {"includes", "excludes"})
        if (const auto at = rule.find(part); at != rule.end() && at->is_object())
            json::at(part, [&] { refuse_unknown<Conditions>(*at); });
    if (const auto args = rule.find("args"); args != rule.end() && args->is_array())
        for (size_t i = 0; i < args->size(); ++i)
            if ((*args)[i].is_object())
                json::at({"args", i}, [&] { refuse_unknown<Argument>((*args)[i]); });
}

// The document was read: arrays and objects are what they shall be.
void refuse_unknown_properties(const json::Value& document) {
    refuse_unknown<Profile>(document);
    const auto rules = document.find("syscalls");
    if (rules == document.end() || !rules->is_array()) return;  // null: none
    for (size_t i = 0; i < rules->size(); ++i)
        json::at({"syscalls", i}, [&] { refuse_unknown_in_rule((*rules)[i]); });
}

// The names that profiles use: Go's for the architecture, libseccomp's for its token.
struct Machine {
    std::string_view name, profile, token;
};
constexpr Machine machines[] = {
    {"x86_64", "amd64", "SCMP_ARCH_X86_64"},
    {"aarch64", "arm64", "SCMP_ARCH_AARCH64"},
    {"i686", "x86", "SCMP_ARCH_X86"},
    {"armv7l", "arm", "SCMP_ARCH_ARM"},
    {"s390x", "s390x", "SCMP_ARCH_S390X"},
    {"riscv64", "riscv64", "SCMP_ARCH_RISCV64"},
    {"ppc64le", "ppc64le", "SCMP_ARCH_PPC64LE"},
    {"mips64", "mips64", "SCMP_ARCH_MIPS64"},
    {"loongarch64", "loong64", "SCMP_ARCH_LOONGARCH64"},
};

// Those that keg does not run on have rules, too.
constexpr std::string_view architectures[] = {
    "amd64",    "arm64",       "arm",     "x86",      "x32",  "s390x",  "s390",   "riscv64",
    "ppc",      "ppc64",       "ppc64le", "loong64",  "mips", "mipsel", "mips64", "mips64n32",
    "mipsel64", "mipsel64n32", "parisc",  "parisc64", "m68k", "sh",     "sheb"};

const Machine& machine_of(const SeccompSubject& subject) {
    const Machine* found = std::ranges::find(machines, subject.machine, &Machine::name);
    if (found == std::end(machines))
        throw Error("seccomp profiles do not know this machine (", subject.machine, ")");
    return *found;
}

bool contains(const auto& list, std::string_view word) {
    return std::ranges::find(list, word) != std::end(list);
}

// "6.18.2-cloud" is 6, 18.
std::pair<int, int> kernel_version(std::string_view text) {
    const std::vector<std::string> parts = split(text, '.');
    const auto number = [&](size_t i) {
        if (i >= parts.size()) return 0;
        return parse_number<int>(
                   std::string_view(parts[i]).substr(0, parts[i].find_first_not_of("0123456789")))
            .value_or(0);
    };
    return {number(0), number(1)};
}

bool is_kernel_version(std::string_view text) {
    const std::vector<std::string> parts = split(text, '.');
    return parts.size() == 2 && parse_number<unsigned>(parts[0]) &&
           parse_number<unsigned>(parts[1]);
}

// Words that match nothing would be rules for nobody, or for everybody.
void check_words(const Conditions& part) {
    for (size_t i = 0; i < part.capabilities.size(); ++i)
        if (!contains(spec::capability_names(), part.capabilities[i]))
            wrong(str("caps[", i, "]"), "unknown capability ", quoted(part.capabilities[i]));
    for (size_t i = 0; i < part.architectures.size(); ++i)
        if (!contains(architectures, part.architectures[i]))
            wrong(str("arches[", i, "]"), "unknown architecture ", quoted(part.architectures[i]),
                  ": must be Go's word for one, as amd64");
    if (!part.least_kernel.empty() && !is_kernel_version(part.least_kernel))
        wrong("minKernel", "is ", quoted(part.least_kernel), ", but must be as 4.8");
}

bool is_for_machine(const ProfileRule& rule, const SeccompSubject& subject) {
    const std::string_view machine = machine_of(subject).profile;
    const auto new_enough = [&](const std::string& least) {
        return kernel_version(subject.kernel) >= kernel_version(least);
    };
    const Conditions &in = rule.includes, &out = rule.excludes;
    if (!in.architectures.empty() && !contains(in.architectures, machine)) return false;
    if (!in.least_kernel.empty() && !new_enough(in.least_kernel)) return false;
    return !contains(out.architectures, machine) &&
           (out.least_kernel.empty() || !new_enough(out.least_kernel));
}

bool is_for_capabilities(const ProfileRule& rule, const SeccompSubject& subject) {
    const auto has = [&](const std::string& capability) {
        return contains(subject.capabilities, capability);
    };
    return std::ranges::all_of(rule.includes.capabilities, has) &&
           std::ranges::none_of(rule.excludes.capabilities, has);
}

spec::SeccompSyscall as_rule(const ProfileRule& rule) {
    if (rule.names.empty() == rule.name.empty())
        throw Error("exactly one of name and names must be there");
    if (rule.action.empty()) wrong("action", "is missing");
    json::at("includes", [&] { check_words(rule.includes); });
    json::at("excludes", [&] { check_words(rule.excludes); });
    spec::SeccompSyscall out{
        .names = rule.names, .action = rule.action, .errno_ret = rule.errno_ret, .args = {}};
    if (!rule.name.empty()) out.names = {rule.name};
    for (const Argument& arg : rule.args)
        out.args.push_back(
            {.index = arg.index, .value = arg.value, .value_two = arg.value_two, .op = arg.op});
    return out;
}

std::vector<std::string> architectures_of(const Profile& profile, const SeccompSubject& subject) {
    if (!profile.architectures.empty() && !profile.architecture_map.empty())
        throw Error("both architectures and archMap are there");
    std::vector<std::string> out = profile.architectures;
    for (size_t i = 0; i < profile.architecture_map.size(); ++i) {
        const ArchitectureMap& map = profile.architecture_map[i];
        std::vector<std::string> all = map.sub_architectures;
        all.insert(all.begin(), map.architecture);
        for (const std::string& name : all)
            if (!spec::is_seccomp_architecture(name))
                wrong({"archMap", i}, "string ", name, " is not a valid arch for seccomp");
        if (map.architecture == machine_of(subject).token)
            out.insert(out.end(), all.begin(), all.end());
    }
    return out;
}

// Calls that nobody knows are no fault of a rule for other machines or for newer kernels.
std::vector<spec::SeccompSyscall> rules_for(const SeccompSubject& subject, const Profile& profile,
                                            const spec::Seccomp& read) {
    std::vector<spec::SeccompSyscall> kept;
    for (size_t i = 0; i < profile.syscalls.size(); ++i) {
        if (!is_for_machine(profile.syscalls[i], subject)) continue;
        const std::string why = spec::problem_with_names(read.syscalls[i], read);
        if (!why.empty()) throw Error("syscalls[", i, "].", why);
        if (is_for_capabilities(profile.syscalls[i], subject)) kept.push_back(read.syscalls[i]);
    }
    return kept;
}

}  // namespace

SeccompSubject seccomp_subject(std::vector<std::string> capabilities) {
    utsname name{};
    ::uname(&name);
    return {
        .capabilities = std::move(capabilities), .machine = name.machine, .kernel = name.release};
}

spec::Seccomp read_seccomp_profile(std::string_view text, const SeccompSubject& subject) {
    const json::Value document = json::parse(text);
    const Profile profile = json::read<Profile>(document);
    if (profile.default_action.empty()) wrong("defaultAction", "is missing");
    refuse_unknown_properties(document);
    spec::Seccomp out{.default_action = profile.default_action,
                      .default_errno_ret = profile.default_errno_ret,
                      .architectures = architectures_of(profile, subject),
                      .flags = profile.flags,
                      .listener_path = profile.listener_path,
                      .listener_metadata = profile.listener_metadata,
                      .syscalls = {}};
    for (size_t i = 0; i < profile.syscalls.size(); ++i)
        json::at({"syscalls", i}, [&] { out.syscalls.push_back(as_rule(profile.syscalls[i])); });
    if (const auto found = spec::problems_with_words(out); !found.empty())
        throw Error(found.front());
    out.syscalls = rules_for(subject, profile, out);
    return out;
}

spec::Seccomp default_seccomp_profile(const std::vector<std::string>& capabilities) {
    return context("the default seccomp profile", [&] {
        return read_seccomp_profile(seccomp_json, seccomp_subject(capabilities));
    });
}
