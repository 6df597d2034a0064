// Docker's port syntax grew: an address may hold colons, either side may be a range, and a range of
// host ports for one container port means "any of these". Everything is decided here, once: the
// rest of the engine sees one PortBinding per container port.
#include "container/ports.h"

#include <arpa/inet.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "base/error.h"

std::string PortBinding::inside() const { return str(container_port, "/", proto); }

namespace {

struct Range {
    uint16_t first = 0, last = 0;
    int size() const { return last - first + 1; }
};

std::optional<Range> parse_range(std::string_view text) {
    const size_t dash = text.find('-');
    const auto first = parse_number<uint16_t>(text.substr(0, dash));
    const auto last =
        dash == std::string_view::npos ? first : parse_number<uint16_t>(text.substr(dash + 1));
    if (!first || !last || *last < *first) return {};
    return Range{*first, *last};
}

std::string checked_proto(std::string proto) {
    proto = lower(proto);
    if (proto != "tcp" && proto != "udp" && proto != "sctp") throw Error("invalid proto: ", proto);
    return proto;
}

// 'target=80,published=8080,protocol=tcp' as the short form.
std::string from_long_form(const std::string& spec) {
    std::string target, published, protocol = "tcp", ip;
    for (const std::string& pair : split(spec, ',')) {
        const size_t equals = pair.find('=');
        if (equals == std::string::npos)
            throw Error("invalid publish opts format (should be name=value but got '", pair, "')");
        const std::string key = lower(pair.substr(0, equals)), value = pair.substr(equals + 1);
        if (key == "target")
            target = value;
        else if (key == "published")
            published = value;
        else if (key == "protocol")
            protocol = value;
        else if (key == "host_ip")
            ip = value;
        else if (key != "mode")
            throw Error("invalid field key ", key);
    }
    return str(ip.empty() ? "" : ip + ":", published, ":", target, "/", protocol);
}

}  // namespace

std::vector<PortBinding> parse_publish(const std::string& typed) {
    const std::string spec = typed.find('=') == std::string::npos ? typed : from_long_form(typed);
    const size_t slash = spec.rfind('/');
    const std::string proto =
        checked_proto(slash == std::string::npos ? "tcp" : spec.substr(slash + 1));
    std::string rest = spec.substr(0, slash), ip, host, inside;

    // The last two colons split: what is before them may be an IPv6 address.
    const size_t last = rest.rfind(':');
    inside = last == std::string::npos ? rest : rest.substr(last + 1);
    if (last != std::string::npos) {
        rest.resize(last);
        const size_t before = rest.rfind(':');
        host = before == std::string::npos ? rest : rest.substr(before + 1);
        if (before != std::string::npos) ip = rest.substr(0, before);
    }
    if (inside.empty()) throw Error("no port specified: ", typed, "<empty>");
    if (ip.starts_with('[') && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
    in_addr v4{};
    in6_addr v6{};
    if (!ip.empty() && ::inet_pton(AF_INET, ip.c_str(), &v4) != 1) {
        if (::inet_pton(AF_INET6, ip.c_str(), &v6) != 1) throw Error("invalid IP address: ", ip);
        throw Error("publishing on an IPv6 address is not supported: ", ip);
    }
    const auto to = parse_range(inside);
    if (!to || !to->first) throw Error("invalid containerPort: ", inside);
    const auto typed_from = parse_range(host.empty() ? "0" : host);  // 0: a free one
    if (!typed_from) throw Error("invalid hostPort: ", host);
    const Range from = *typed_from;
    if (from.last == 0) host.clear();

    std::vector<PortBinding> bindings;
    if (!host.empty() && to->size() == 1 && from.size() > 1)
        return {{.proto = proto,
                 .host_ip = ip,
                 .host_port = from.first,
                 .host_port_end = from.last,
                 .container_port = to->first}};
    if (!host.empty() && from.size() != to->size())
        throw Error("invalid ranges specified for container and host Ports: ", inside, " and ",
                    host);
    for (int i = 0; i < to->size(); ++i)
        bindings.push_back({.proto = proto,
                            .host_ip = ip,
                            .host_port = uint16_t(host.empty() ? 0 : from.first + i),
                            .host_port_end = 0,
                            .container_port = uint16_t(to->first + i)});
    return bindings;
}

std::vector<std::string> parse_expose(const std::string& spec) {
    const size_t slash = spec.find('/');
    const std::string proto =
        checked_proto(slash == std::string::npos ? "tcp" : spec.substr(slash + 1));
    const auto range = parse_range(std::string_view(spec).substr(0, slash));
    if (!range) throw Error("invalid range format for --expose: ", spec);
    std::vector<std::string> out;
    for (int port = range->first; port <= range->last; ++port) out.push_back(str(port, "/", proto));
    return out;
}

std::string ports_column(const std::vector<PortBinding>& published,
                         const std::set<std::string>& exposed) {
    struct Run {
        std::string ip, proto;
        int host, inside, count;
    };
    std::vector<PortBinding> sorted = published;
    std::ranges::sort(sorted, {}, [](const PortBinding& b) {
        return std::tuple(b.host_port != b.container_port, b.container_port, b.proto, b.host_ip);
    });
    std::vector<Run> runs;
    std::set<std::string> bare = exposed;
    for (const PortBinding& binding : sorted) {
        bare.erase(binding.inside());
        const std::string ip = binding.host_ip.empty() ? "0.0.0.0" : binding.host_ip;
        const bool joins = !runs.empty() && binding.host_port == binding.container_port &&
                           runs.back().host == runs.back().inside && runs.back().ip == ip &&
                           runs.back().proto == binding.proto &&
                           runs.back().host + runs.back().count == binding.host_port;
        if (joins)
            ++runs.back().count;
        else
            runs.push_back({ip, binding.proto, binding.host_port, binding.container_port, 1});
    }
    std::vector<std::string> words(bare.begin(), bare.end());
    const auto range = [](int first, int count) {
        return count == 1 ? str(first) : str(first, "-", first + count - 1);
    };
    for (const Run& run : runs)
        words.push_back(str(run.ip, ":", range(run.host, run.count), "->",
                            range(run.inside, run.count), "/", run.proto));
    return join(words, ", ");
}
