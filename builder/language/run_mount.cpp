// What is hard: the value is CSV with Go's rules for quotes, and is split before its variables are
// replaced, so that what comes out of a variable is never a field. `from` decides what a stage
// needs, so it must be known without variables. Which options a type takes is a table; defaults
// that depend on other options (an id on the target, "read-only" on the type) are settled last.
#include "builder/language/run_mount.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <vector>

#include "base/csv.h"
#include "base/error.h"
#include "base/size.h"
#include "base/text.h"
#include "builder/language/instructions.h"

namespace {

using Type = RunMount::Type;
using Sharing = RunMount::Sharing;

template <class Value>
struct Word {
    std::string_view name;
    Value value;
};
constexpr Word<Type> mount_types[] = {{"bind", Type::bind},
                                      {"cache", Type::cache},
                                      {"secret", Type::secret},
                                      {"ssh", Type::ssh},
                                      {"tmpfs", Type::tmpfs}};
constexpr Word<Sharing> sharing_modes[] = {
    {"locked", Sharing::locked}, {"private", Sharing::exclusive}, {"shared", Sharing::shared}};

std::string meant(std::string_view word, std::span<const std::string_view> known) {
    const std::string_view found = nearest(word, known);
    return found.empty() ? "" : str(" (did you mean ", found, "?)");
}

// A word of a closed list, whatever its case.
template <class Value, size_t count>
Value word_of(const Word<Value> (&words)[count], std::string_view what, const std::string& text) {
    std::array<std::string_view, count> names;
    for (size_t i = 0; i < count; ++i) {
        if (lower(text) == words[i].name) return words[i].value;
        names[i] = words[i].name;
    }
    throw Error("unsupported ", what, " ", quoted(text), meant(text, names));
}

// --- the line of CSV

std::vector<std::string> fields_of(std::string_view text) {
    return context("failed to parse csv mounts", [&] { return csv_fields(text); });
}

struct Field {
    std::string_view text;  // all of it
    std::string key;        // lower case
    std::string_view raw;   // the value as written
    bool has_value = false;
};

Field split_field(std::string_view text) {
    const size_t equals = text.find('=');
    const bool has_value = equals != std::string_view::npos;
    return {.text = text,
            .key = lower(std::string(text.substr(0, equals))),
            .raw = has_value ? text.substr(equals + 1) : std::string_view{},
            .has_value = has_value};
}

// --- values

bool parse_flag(const std::string& key, const std::string& value) {  // as Go's ParseBool
    for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"})
        if (value == yes) return true;
    for (const char* no : {"0", "f", "F", "false", "FALSE", "False"})
        if (value == no) return false;
    throw Error("invalid value for ", key, ": ", value);
}

uint32_t parse_whole(const std::string& key, const std::string& value, int base) {
    const auto number = parse_number<uint32_t>(value, base);
    if (!number) throw Error("invalid value ", value, " for ", key);
    return *number;
}

// --- options

struct Draft {
    RunMount mount;
    std::optional<bool> read_only;
    std::optional<Sharing> sharing;
};

constexpr unsigned only(Type type) { return 1U << unsigned(type); }
constexpr unsigned every_type = 31;
constexpr unsigned with_owner = only(Type::cache) | only(Type::secret) | only(Type::ssh);

struct MountOption {
    std::string_view name;
    // Key and value; of an option that may stand alone the value is "true" then.
    void (*set)(Draft&, const std::string& key, const std::string& value);
    bool stands_alone = false;
    unsigned types = every_type;  // which take it, the type being written before
};

void set_target(Draft& d, const std::string&, const std::string& value) { d.mount.target = value; }
void set_source(Draft& d, const std::string&, const std::string& value) { d.mount.source = value; }
void set_read_only(Draft& d, const std::string& key, const std::string& value) {
    d.read_only = parse_flag(key, value);
}
void set_read_write(Draft& d, const std::string& key, const std::string& value) {
    d.read_only = !parse_flag(key, value);
}
void set_size(Draft& d, const std::string& key, const std::string& value) {
    const auto size = parse_size(value);
    if (!size) throw Error("invalid value for ", key, ": ", value);
    d.mount.size = *size;
}

constexpr MountOption options[] = {
    {"type",
     [](Draft& d, const std::string&, const std::string& value) {
         d.mount.type = word_of(mount_types, "mount type", value);
     }},
    {"from", [](Draft& d, const std::string&, const std::string& value) { d.mount.from = value; }},
    {"source", set_source},
    {"src", set_source},
    {"target", set_target},
    {"dst", set_target},
    {"destination", set_target},
    {"readonly", set_read_only, true},
    {"ro", set_read_only, true},
    {"readwrite", set_read_write, true},
    {"rw", set_read_write, true},
    {"required",
     [](Draft& d, const std::string& key, const std::string& value) {
         d.mount.required = parse_flag(key, value);
     },
     true, only(Type::secret) | only(Type::ssh)},
    {"size", set_size, false, only(Type::tmpfs)},
    {"id", [](Draft& d, const std::string&, const std::string& value) { d.mount.id = value; }},
    {"sharing",
     [](Draft& d, const std::string&, const std::string& value) {
         d.sharing = word_of(sharing_modes, "sharing value", value);
     }},
    {"mode", [](Draft& d, const std::string& key,
                const std::string& value) { d.mount.mode = parse_whole(key, value, 8); }},
    {"uid", [](Draft& d, const std::string& key,
               const std::string& value) { d.mount.uid = parse_whole(key, value, 10); }},
    {"gid", [](Draft& d, const std::string& key,
               const std::string& value) { d.mount.gid = parse_whole(key, value, 10); }},
    {"env", [](Draft& d, const std::string&, const std::string& value) { d.mount.env = value; }},
};

[[noreturn]] void unknown_option(const Field& field) {
    std::vector<std::string_view> known;
    for (const MountOption& option : options) known.push_back(option.name);
    throw Error("unexpected key '", field.key, "' in '", field.text, "'", meant(field.key, known));
}

void apply_field(Draft& draft, const Field& field, const ExpandValue& expand) {
    const auto option = std::ranges::find(options, field.key, &MountOption::name);
    if (!field.has_value && (option == std::end(options) || !option->stands_alone))
        throw Error("invalid field '", field.text, "' must be a key=value pair");
    if (option == std::end(options)) unknown_option(field);
    if (!(option->types & only(draft.mount.type)))
        throw Error("unexpected key '", field.key, "' for mount type '",
                    mount_type_name(draft.mount.type), "'");
    option->set(draft, field.key, field.has_value ? expand(field.raw) : "true");
}

// --- what options say together

// Without "." and "..", double slashes and one at the end: the same place has one name.
std::string plain_path(std::string_view path) {
    std::string out = std::filesystem::path(path).lexically_normal();
    if (out.size() > 1 && out.ends_with('/')) out.pop_back();
    return out;
}
std::string last_name(std::string_view path) {
    return std::filesystem::path(plain_path(path)).filename();
}

void settle_secret(RunMount& mount) {
    if (!mount.from.empty()) throw Error("secret mount should not have a from");
    if (mount.source.empty() && mount.target.empty() && mount.id.empty())
        throw Error("invalid secret mount. one of source, target required");
    if (!mount.source.empty() && !mount.id.empty()) throw Error("both source and id can't be set");
    if (mount.id.empty()) mount.id = mount.source.empty() ? last_name(mount.target) : mount.source;
    mount.source.clear();
    if (mount.target.empty() && !mount.env) mount.target = "/run/secrets/" + last_name(mount.id);
}

void settle_ssh(RunMount& mount) {
    if (!mount.source.empty()) throw Error("ssh does not support source");
    if (mount.id.empty()) mount.id = "default";
}

void check_owner(const RunMount& mount) {
    if (only(mount.type) & with_owner) return;
    const std::pair<std::string_view, const std::optional<uint32_t>&> members[] = {
        {"mode", mount.mode}, {"uid", mount.uid}, {"gid", mount.gid}};
    for (const auto& [name, value] : members)
        if (value)
            throw Error(name, " not allowed for ", quoted(mount_type_name(mount.type)),
                        " type mounts");
}

void check_sharing(const Draft& draft) {
    if (!draft.sharing || draft.mount.type == Type::cache) return;
    if (draft.mount.type == Type::secret) throw Error("secret mount should not define sharing");
    throw Error("invalid cache sharing set for ", mount_type_name(draft.mount.type), " mount");
}

RunMount settled(Draft draft) {
    RunMount& mount = draft.mount;
    check_owner(mount);
    check_sharing(draft);
    mount.sharing = draft.sharing.value_or(Sharing::shared);
    const bool holds_writes = mount.type == Type::cache || mount.type == Type::tmpfs;
    mount.read_only = draft.read_only.value_or(!holds_writes);
    if (mount.type == Type::secret) settle_secret(mount);
    if (mount.type == Type::ssh) settle_ssh(mount);
    if (mount.env && mount.type != Type::secret)
        throw Error("env not allowed for ", quoted(mount_type_name(mount.type)), " type mounts");
    if (mount.type == Type::cache && mount.id.empty()) mount.id = plain_path(mount.target);
    return std::move(mount);
}

}  // namespace

std::string_view mount_type_name(RunMount::Type type) {
    return std::ranges::find(mount_types, type, &Word<Type>::value)->name;
}

RunMount parse_run_mount(std::string_view text, const ExpandValue& expand) {
    check_run_mount(text);
    Draft draft;
    for (const std::string& field : fields_of(text)) apply_field(draft, split_field(field), expand);
    return settled(std::move(draft));
}

void check_run_mount(std::string_view text) {
    const std::string from = run_mount_from(text);
    if (const size_t dollar = from.find('$');
        dollar != std::string::npos && dollar + 1 < from.size())
        throw Error("'from' doesn't support variable expansion, define alias stage instead");
}

std::string run_mount_from(std::string_view text) {
    std::string from;
    for (const std::string& each : fields_of(text))
        if (const Field field = split_field(each); field.key == "from") from = field.raw;
    return from;
}
