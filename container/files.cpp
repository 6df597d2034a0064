// What is hard: the host's resolv.conf is written for the host. A server on a loopback address,
// systemd-resolved's stub above all, is not there in another network namespace. So the stub's own
// list of servers is taken if the host names only the stub; of any list what the container cannot
// reach is dropped; and if nothing is left, public servers take its place, as Docker has it.
#include "container/files.h"

#include "base/error.h"
#include "base/file.h"

std::string hosts_file(const std::vector<std::string>& extra, const std::string& gateway, bool ipv6,
                       const std::string& address, const std::string& hostname,
                       const std::string& domainname) {
    std::string out = "127.0.0.1\tlocalhost\n";
    if (ipv6)
        out += "::1\tlocalhost ip6-localhost "
               "ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n"
               "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
    for (const std::string& entry : extra) {
        const size_t colon = entry.find(':');
        const std::string ip = entry.substr(colon + 1);
        if (ip == "host-gateway" && gateway.empty())
            throw Error("unable to derive the IP value for host-gateway");
        out += (ip == "host-gateway" ? gateway : ip) + "\t" + entry.substr(0, colon) + "\n";
    }
    if (!address.empty())
        out += address + "\t" +
               (domainname.empty() ? hostname : hostname + "." + domainname + " " + hostname) +
               "\n";
    return out;
}

static bool is_loopback(std::string_view server) {
    return server.starts_with("127.") || server == "::1";
}

std::string resolv_conf(std::string_view host, const ResolvOptions& wanted) {
    std::vector<std::string> servers, options;
    std::string search, other;
    for (const std::string& line : split(host, '\n')) {
        std::vector<std::string> words;
        for (const std::string& word : split(line, ' '))
            for (const std::string& piece : split(word, '\t'))
                if (!piece.empty()) words.push_back(piece);
        if (words.empty() || words[0][0] == '#' || words[0][0] == ';') continue;
        const std::vector<std::string> values(words.begin() + 1, words.end());
        if (words[0] == "nameserver") {
            if (!values.empty()) servers.push_back(values[0]);
        } else if (words[0] == "search" || words[0] == "domain")
            search = join(values, " ");
        else if (words[0] == "options")
            options.insert(options.end(), values.begin(), values.end());
        else
            other += line + "\n";
    }
    if (!wanted.dns.empty()) {
        servers = wanted.dns;
    } else if (wanted.filter) {
        std::erase_if(servers, [&](const std::string& server) {
            return is_loopback(server) || (!wanted.ipv6 && server.find(':') != std::string::npos);
        });
        if (servers.empty()) servers = {"8.8.8.8", "8.8.4.4"};
    }
    if (!wanted.search.empty())
        search = wanted.search == std::vector<std::string>{"."} ? "" : join(wanted.search, " ");
    if (!wanted.options.empty()) options = wanted.options;

    std::string out;
    for (const std::string& server : servers) out += "nameserver " + server + "\n";
    if (!search.empty()) out += "search " + search + "\n";
    if (!options.empty()) out += "options " + join(options, " ") + "\n";
    return out + other;
}

std::string host_resolv_conf() {
    const std::string text = read_file_if_exists("/etc/resolv.conf").value_or("");
    int servers = 0;
    bool stub = false;
    for (const std::string& line : split(text, '\n'))
        if (line.starts_with("nameserver")) ++servers, stub = trim(line.substr(10)) == "127.0.0.53";
    if (servers == 1 && stub)
        if (auto upstream = read_file_if_exists("/run/systemd/resolve/resolv.conf"))
            return *upstream;
    return text;
}

std::vector<std::string> host_name_servers() {
    std::vector<std::string> out;
    for (const std::string& line :
         split(read_file_if_exists("/etc/resolv.conf").value_or(""), '\n'))
        if (line.starts_with("nameserver")) {
            const std::string address(trim(line.substr(10)));
            if (address.find(':') == std::string::npos && !address.empty()) out.push_back(address);
        }
    return out;
}
