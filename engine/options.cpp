// The small languages of the run options. Each is pure and says what is wrong in Docker's words.
#include <stdlib.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/size.h"
#include "engine/settings.h"
#include "spec/image_words.h"

namespace {

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, word) != words.end();
}

// The mode words of -v: at most one of each group.
void read_mode(VolumeMount& mount, const std::string& mode) {
    std::set<int> seen;
    for (const std::string& word : split(mode, ',')) {
        int group = 0;
        if (is_one_of(word, {"ro", "rw"}))
            group = 1, mount.read_only = word == "ro";
        else if (is_one_of(word, {"z", "Z"}))
            group = 2;  // relabelling for SELinux: nothing to do without it
        else if (is_one_of(word, {"private", "rprivate", "shared", "rshared", "slave", "rslave"}))
            group = 3, mount.propagation = word;
        else if (word == "nocopy")
            group = 4, mount.no_copy = true;
        else if (is_one_of(word, {"consistent", "cached", "delegated"}))
            group = 5;
        if (!group || !seen.insert(group).second) throw Error("invalid mode: ", mode);
    }
    mount.mode = mode;
}

std::string clean_path(const std::string& path) {
    std::vector<std::string> parts;
    for (const std::string& part : split(path, '/'))
        if (part == ".." && !parts.empty())
            parts.pop_back();
        else if (!part.empty() && part != "." && part != "..")
            parts.push_back(part);
    return "/" + join(parts, "/");
}

void check_destination(const std::string& spec, VolumeMount& mount) {
    if (!mount.destination.starts_with('/'))
        throw Error("invalid volume specification: '", spec, "': invalid mount path: '",
                    mount.destination, "' mount path must be absolute");
    mount.destination = clean_path(mount.destination);
    if (mount.destination == "/")
        throw Error("invalid volume specification: '", spec, "': destination can't be '/'");
}

void check_volume_name(const std::string& name) {
    bool good = name.size() >= 2 && std::isalnum(static_cast<unsigned char>(name[0]));
    for (const char c : name)
        good = good && (std::isalnum(static_cast<unsigned char>(c)) ||
                        is_one_of(std::string_view(&c, 1), {"_", ".", "-"}));
    if (!good)
        throw Error("create ", name, ": ", quoted(name),
                    " includes invalid characters for a local volume name, only ",
                    "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
                    "directory, use absolute path");
}

}  // namespace

VolumeMount parse_volume(const std::string& spec, const std::string& directory) {
    const std::vector<std::string> parts = split(spec, ':');
    VolumeMount mount;
    if (parts.size() > 3 || std::ranges::find(parts, "") != parts.end())
        throw Error("invalid volume specification: '", spec, "'");
    if (parts.size() == 1) {
        mount.type = "volume", mount.anonymous = true, mount.destination = parts[0];
    } else {
        mount.source = parts[0], mount.destination = parts[1];
        if (parts.size() == 2 && !mount.destination.starts_with('/'))
            throw Error("invalid volume specification: '", spec, "'");
        if (parts.size() == 3) read_mode(mount, parts[2]);
        if (mount.source.starts_with('.'))
            mount.source = clean_path(directory + "/" + mount.source);
        if (mount.source.starts_with('~'))
            throw Error("create ", mount.source,
                        ": a home directory is expanded by the shell only at the start of a word");
        if (mount.source.starts_with('/'))
            mount.source = clean_path(mount.source);
        else
            mount.type = "volume", check_volume_name(mount.source);
    }
    check_destination(spec, mount);
    return mount;
}

namespace {

// One record of CSV: a field may be in quotes, and a quote in it is two.
std::vector<std::string> csv_fields(const std::string& spec) {
    std::vector<std::string> out(1);
    bool is_quoted = false, begins = true;
    for (size_t i = 0; i < spec.size(); ++i) {
        const char c = spec[i];
        if (is_quoted && c == '"' && i + 1 < spec.size() && spec[i + 1] == '"')
            out.back() += c, ++i;
        else if (c == '"' && (is_quoted || begins))
            is_quoted = !is_quoted;
        else if (c == '"')
            throw Error("parse error on line 1, column ", i + 1, ": bare \" in non-quoted field");
        else if (c == ',' && !is_quoted) {
            out.emplace_back(), begins = true;
            continue;
        } else
            out.back() += c;
        begins = false;
    }
    if (is_quoted)
        throw Error("parse error on line 1, column ", spec.size() + 1,
                    ": extraneous or missing \" in quoted-field");
    return out;
}

// What --mount is read into.
struct MountWords {
    VolumeMount mount{.type = "volume"};
    std::string tmpfs;
    bool create_source = false;
};

bool mount_switch(const std::string& value) {
    if (value.empty() || is_one_of(lower(value), {"true", "1", "t"})) return true;
    if (is_one_of(lower(value), {"false", "0", "f"})) return false;
    throw Error("invalid value: ", value);
}

void read_propagation(MountWords& to, const std::string& value) {
    if (!is_one_of(value, {"private", "rprivate", "shared", "rshared", "slave", "rslave"}))
        throw Error("invalid propagation mode: ", value);
    to.mount.propagation = value;
}

void read_recursion(MountWords& to, const std::string& value) {
    if (!is_one_of(value, {"enabled", "disabled", "writable", "readonly"}))
        throw Error("invalid value for bind-recursive: ", value,
                    " (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")");
    to.mount.alone = value == "disabled";
    to.mount.read_only_top = value == "writable";
}

void read_subpath(MountWords& to, const std::string& value) {
    const std::vector<std::string> parts = split(value, '/');
    if (value.starts_with('/') || std::ranges::find(parts, "..") != parts.end())
        throw Error("subpath must be a relative path within the volume");
    to.mount.subpath = value;
}

void refuse_volume_driver(MountWords&, const std::string& value) {
    if (value != "local") throw Error("volume driver ", quoted(value), " is not supported");
}

// The keys: of which type of mount they are ("": of any), and whether they may stand alone.
constexpr struct {
    std::string_view key, type;
    bool is_switch;
    void (*read)(MountWords& to, const std::string& value);
} mount_keys[] = {
    {"type", "", false, [](MountWords& to, const std::string& v) { to.mount.type = lower(v); }},
    {"source", "", false, [](MountWords& to, const std::string& v) { to.mount.source = v; }},
    {"src", "", false, [](MountWords& to, const std::string& v) { to.mount.source = v; }},
    {"target", "", false, [](MountWords& to, const std::string& v) { to.mount.destination = v; }},
    {"dst", "", false, [](MountWords& to, const std::string& v) { to.mount.destination = v; }},
    {"destination", "", false,
     [](MountWords& to, const std::string& v) { to.mount.destination = v; }},
    {"readonly", "", true,
     [](MountWords& to, const std::string& v) { to.mount.read_only = mount_switch(v); }},
    {"ro", "", true,
     [](MountWords& to, const std::string& v) { to.mount.read_only = mount_switch(v); }},
    {"consistency", "", false, [](MountWords&, const std::string&) {}},
    {"bind-propagation", "bind", false, read_propagation},
    {"bind-recursive", "bind", false, read_recursion},
    {"bind-create-src", "bind", true,
     [](MountWords& to, const std::string& v) { to.create_source = mount_switch(v); }},
    {"volume-nocopy", "volume", true,
     [](MountWords& to, const std::string& v) { to.mount.no_copy = mount_switch(v); }},
    {"volume-subpath", "volume", false, read_subpath},
    {"volume-driver", "volume", false, refuse_volume_driver},
    {"tmpfs-size", "tmpfs", false,
     [](MountWords& to, const std::string& v) { to.tmpfs += str(",size=", parse_bytes(v)); }},
    {"tmpfs-mode", "tmpfs", false,
     [](MountWords& to, const std::string& v) { to.tmpfs += ",mode=" + v; }},
};

MountWords read_mount_words(const std::string& spec) {
    MountWords words;
    std::string of_type, its_key;  // what a key of one type was given for
    for (const std::string& field : csv_fields(spec)) {
        const size_t equals = field.find('=');
        const std::string key = lower(field.substr(0, equals)),
                          value = equals == std::string::npos ? "" : field.substr(equals + 1);
        const auto known =
            std::ranges::find_if(mount_keys, [&](const auto& one) { return one.key == key; });
        if (known == std::end(mount_keys))
            throw Error("unexpected key '", key, "' in '", field, "'");
        if (equals == std::string::npos && !known->is_switch)
            throw Error("invalid field '", field, "' must be a key=value pair");
        known->read(words, value);
        if (!known->type.empty()) of_type = known->type, its_key = key;
    }
    if (words.mount.destination.empty()) throw Error("target is required");
    if (!of_type.empty() && of_type != words.mount.type)
        throw Error("cannot mix '", its_key, "' with mount type '", words.mount.type, "'");
    return words;
}

}  // namespace

std::optional<VolumeMount> parse_mount(const std::string& spec, const std::string& directory,
                                       std::map<std::string, std::string>& tmpfs) {
    MountWords words = context(str("invalid argument ", quoted(spec), " for \"--mount\" flag"),
                               [&] { return read_mount_words(spec); });
    VolumeMount& mount = words.mount;
    check_destination(spec, mount);
    if (mount.type == "tmpfs") {
        if (!mount.source.empty())
            throw Error("invalid mount config for type \"tmpfs\": field Source must not be "
                        "specified");
        tmpfs[mount.destination] = (mount.read_only ? "ro" : "rw") + words.tmpfs;
        return {};
    }
    if (mount.type != "bind" && mount.type != "volume")
        throw Error("mount type ", quoted(mount.type),
                    " is not supported; known are bind, volume, tmpfs");
    mount.anonymous = mount.type == "volume" && mount.source.empty();
    if (mount.type == "volume" && !mount.anonymous) check_volume_name(mount.source);
    if (mount.type == "bind") {
        if (mount.source.starts_with('.'))
            mount.source = clean_path(directory + "/" + mount.source);
        if (!mount.source.starts_with('/'))
            throw Error("invalid mount config for type \"bind\": invalid mount path: '",
                        mount.source, "' mount path must be absolute");
        mount.must_exist = !words.create_source;
    }
    return mount;
}

RestartPolicy parse_restart(const std::string& text) {
    const size_t colon = text.find(':');
    RestartPolicy policy{.name = text.substr(0, colon)};
    if (policy.name.empty() && colon == std::string::npos) return {};
    if (!is_one_of(policy.name, {"no", "on-failure", "always", "unless-stopped"}))
        throw Error("invalid restart policy: unknown policy '", policy.name,
                    "'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'");
    if (colon == std::string::npos) return policy;
    const auto most = parse_number<int>(text.substr(colon + 1));
    if (!most) throw Error("invalid restart policy format: maximum retry count must be an integer");
    if (policy.name != "on-failure")
        throw Error("invalid restart policy: maximum retry count can only be used with "
                    "'on-failure'");
    if (*most < 0) throw Error("invalid restart policy: maximum retry count cannot be negative");
    policy.most = *most;
    return policy;
}

spec::DeviceRule parse_device_rule(const std::string& text) {
    const std::vector<std::string> words = split(text, ' ');
    const std::vector<std::string> numbers = split(words.size() == 3 ? words[1] : "", ':');
    const auto number = [&](const std::string& word) -> std::optional<int64_t> {
        if (word == "*") return {};
        const auto value = parse_number<uint32_t>(word);
        if (!value) throw Error("invalid device cgroup format '", text, "'");
        return *value;
    };
    if (words.size() != 3 || numbers.size() != 2 || !is_one_of(words[0], {"a", "b", "c"}) ||
        words[2].empty() || words[2].size() > 3 ||
        words[2].find_first_not_of("rwm") != std::string::npos)
        throw Error("invalid device cgroup format '", text, "'");
    return {.allow = true,
            .type = words[0],
            .major = number(numbers[0]),
            .minor = number(numbers[1]),
            .access = words[2]};
}

DeviceRate parse_device_rate(const std::string& text, bool bytes) {
    const size_t colon = text.find(':');
    const std::string path = text.substr(0, colon),
                      rate = colon == std::string::npos ? "" : text.substr(colon + 1);
    if (path.empty() || rate.empty()) throw Error("bad format: ", text);
    if (!path.starts_with("/dev/")) throw Error("bad format for device path: ", text);
    const auto number =
        bytes ? std::optional<uint64_t>(uint64_t(parse_bytes(rate))) : parse_number<uint64_t>(rate);
    if (!number) throw Error("invalid rate for device: ", text);
    return {path, *number};
}

void check_log_settings(const ContainerLog& log) {
    static constexpr struct {
        std::string_view key;
        bool is_size;
    } known[] = {{"max-size", true},
                 {"max-file", false},
                 {"compress", false},
                 {"mode", false},
                 {"max-buffer-size", true}};
    const bool has_file = log.driver == "json-file" || log.driver == "local";
    for (const auto& [key, value] : log.options) {
        const auto it =
            std::ranges::find_if(known, [&](const auto& one) { return one.key == key; });
        if (!has_file || it == std::end(known))
            throw Error("unknown log opt '", key, "' for ", log.driver, " log driver");
        if (key == "mode" || key == "max-buffer-size")
            throw Error("log opt '", key, "' is not supported: a log is written as it comes");
        if (it->is_size && value != "-1" && parse_bytes(value) <= 0)
            throw Error("max-size must be a positive number: ", value);
        if (key == "max-file" && parse_number<int>(value).value_or(0) < 1)
            throw Error("max-file cannot be less than 1: ", value);
        if (key == "compress" && value != "true" && value != "false")
            throw Error("invalid value for compress: ", value);
    }
}

std::optional<double> parse_decimal(std::string_view text) {
    double value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return {};
    return value;
}

int64_t parse_bytes(const std::string& text) {
    const auto size = parse_size(text);
    if (!size) throw Error("invalid size: '", text, "'");
    return *size;
}

int64_t parse_cpus(const std::string& text) {
    const size_t dot = text.find('.');
    std::string fraction = dot == std::string::npos ? "" : text.substr(dot + 1);
    while (fraction.ends_with('0')) fraction.pop_back();
    if (fraction.size() > 9) throw Error("value is too precise");
    fraction.resize(9, '0');
    const auto whole =
        dot == 0 ? std::optional<int64_t>(0) : parse_number<int64_t>(text.substr(0, dot));
    const auto part = parse_number<int64_t>(fraction);
    if (!whole || !part || *whole < 0 || *whole > 1'000'000)
        throw Error("failed to parse ", text, " as a rational number");
    return *whole * 1'000'000'000 + *part;
}

spec::Rlimit parse_ulimit(const std::string& text) {
    static constexpr const char* known[] = {"core",    "cpu",      "data",   "fsize",      "locks",
                                            "memlock", "msgqueue", "nice",   "nofile",     "nproc",
                                            "rss",     "rtprio",   "rttime", "sigpending", "stack"};
    const size_t equals = text.find('=');
    if (equals == std::string::npos) throw Error("invalid ulimit argument: ", text);
    const std::string type = text.substr(0, equals);
    if (std::ranges::find_if(known, [&](const char* name) { return type == name; }) ==
        std::end(known))
        throw Error("invalid ulimit type: ", type);
    const std::vector<std::string> values = split(text.substr(equals + 1), ':');
    const auto limit = [&](const std::string& value) {
        const auto number = parse_number<int64_t>(value);
        if (!number || *number < -1 || values.size() > 2)
            throw Error("invalid ulimit value: ", text);
        return uint64_t(*number);  // -1 is RLIM_INFINITY
    };
    const uint64_t soft = limit(values[0]), hard = values.size() > 1 ? limit(values[1]) : soft;
    if (soft > hard)
        throw Error("ulimit soft limit must be less than or equal to hard limit: ", values[0],
                    " > ", values.back());
    return {.type = "RLIMIT_" + upper(type), .hard = hard, .soft = soft};
}

std::vector<std::string> parse_env_file(const std::string& name, std::string_view text) {
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    std::vector<std::string> out;
    for (std::string line : split(text, '\n')) {
        if (line.ends_with('\r')) line.pop_back();
        line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
        if (line.empty() || line[0] == '#') continue;
        const size_t equals = line.find('=');
        const std::string key = line.substr(0, equals);
        if (key.empty())
            throw Error("invalid env file (", name, "): no variable name on line '", line, "'");
        if (key.find_first_of(" \t") != std::string::npos)
            throw Error("invalid env file (", name, "): variable '", key, "' contains whitespaces");
        if (equals != std::string::npos)
            out.push_back(line);
        else if (const char* value = ::getenv(key.c_str()))
            out.push_back(key + "=" + value);
    }
    return out;
}

std::string parse_extra_host(const std::string& text) {
    size_t at = text.find('=');
    if (at == std::string::npos) at = text.find(':');
    if (at == std::string::npos || at == 0) throw Error("bad format for add-host: ", quoted(text));
    std::string ip = text.substr(at + 1);
    if (ip.starts_with('[') && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
    if (ip != "host-gateway" &&
        (ip.empty() || ip.find_first_not_of("0123456789abcdefABCDEF.:") != std::string::npos))
        throw Error("invalid IP address in add-host: ", quoted(ip));
    return text.substr(0, at) + ":" + ip;
}

std::vector<std::string> merge_env(const std::vector<std::string>& user,
                                   const std::vector<std::string>& below) {
    std::vector<std::string> out;
    std::unordered_map<std::string_view, size_t> places;  // of the names in `out`
    for (const auto* list : {&user, &below})
        for (const std::string& entry : *list) {
            const auto [place, is_new] =
                places.try_emplace(std::string_view(entry).substr(0, entry.find('=')), out.size());
            if (is_new)
                out.push_back(entry);
            else if (list == &user)
                out[place->second] = entry;
        }
    return out;
}

int parse_signal(const std::string& text) {
    const spec::Signal signal(text);
    if (signal.empty()) throw Error("invalid signal: ", text);
    return signal.number();
}

void check_name(const std::string& name) {
    bool good = name.size() >= 2 && std::isalnum(static_cast<unsigned char>(name[0]));
    for (const char c : name)
        good = good &&
               (std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-');
    if (!good)
        throw Error("Invalid container name (", name,
                    "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
}

static uint32_t random_number() {
    uint32_t number = 0;
    check(::getrandom(&number, sizeof number, 0), "getrandom");
    return number;
}

std::string random_name() {
    static constexpr const char* adjectives[] = {
        "amber",   "bold",   "brisk",  "calm",   "clever", "copper", "crisp",  "deft",   "eager",
        "early",   "fair",   "gentle", "golden", "happy",  "humble", "jolly",  "keen",   "kind",
        "light",   "lively", "lucid",  "mellow", "merry",  "mild",   "modest", "nimble", "noble",
        "patient", "plain",  "proud",  "quick",  "quiet",  "rapid",  "ready",  "round",  "serene",
        "sharp",   "silver", "sober",  "steady", "still",  "stout",  "sunny",  "swift",  "tidy",
        "vivid",   "warm",   "wise",   "witty",  "young"};
    static constexpr const char* surnames[] = {
        "abel",     "ampere",    "babbage",  "banach",  "bell",    "bernoulli", "boole",
        "bose",     "cantor",    "cauchy",   "church",  "curie",   "dirac",     "erdos",
        "euler",    "faraday",   "fermat",   "fourier", "galois",  "gauss",     "germain",
        "goedel",   "hamming",   "hertz",    "hilbert", "hopper",  "huygens",   "jacobi",
        "kepler",   "knuth",     "lagrange", "laplace", "leibniz", "lovelace",  "markov",
        "maxwell",  "meitner",   "newton",   "noether", "ohm",     "pascal",    "planck",
        "poincare", "ramanujan", "riemann",  "ritchie", "shannon", "tesla",     "turing",
        "volta"};
    return str(adjectives[random_number() % std::size(adjectives)], "_",
               surnames[random_number() % std::size(surnames)]);
}
