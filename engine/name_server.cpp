// What is asked comes from the container, and what is answered from strangers: both are passed on
// as they are, of bounded size, and only so many questions at a time. A question has its own socket
// upstream, which the kernel binds to that server and gives a port that nobody knows, and an answer
// counts if it has the question's number.
#include "engine/name_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <random>

#include "base/defer.h"
#include "base/error.h"
#include "base/sys.h"
#include "container/dns_message.h"

static constexpr size_t largest_message = 4096, most_asked = 256;
static constexpr std::chrono::seconds patience_with_upstream(4);

static sockaddr_in socket_address(const std::string& address, uint16_t port) {
    sockaddr_in out{};
    out.sin_family = AF_INET, out.sin_port = htons(port);
    ::inet_pton(AF_INET, address.c_str(), &out.sin_addr);
    return out;
}

static UniqueFd datagram_socket() {
    return UniqueFd(
        check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
}

NameServer::NameServer(int netns, NameServerOptions options) : options_(std::move(options)) {
    const UniqueFd own = sys::open("/proc/thread-self/ns/net", O_RDONLY);
    const Defer back([&] { ::setns(own.get(), CLONE_NEWNET); });
    check(::setns(netns, CLONE_NEWNET), "entering the container's network namespace");
    socket_ = datagram_socket();
    const sockaddr_in here = socket_address(name_server_address, 53);
    check(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here),
          "serving names at ", name_server_address);
}

void NameServer::add_polls(std::vector<pollfd>& polls) const {
    polls.push_back({socket_.get(), POLLIN, 0});
    for (const Asked& one : asked_) polls.push_back({one.upstream.get(), POLLIN, 0});
}

int NameServer::milliseconds() const {
    if (asked_.empty()) return -1;
    const auto first = std::ranges::min_element(asked_, {}, &Asked::due)->due;
    return int(std::max<int64_t>(
        std::chrono::ceil<std::chrono::milliseconds>(first - Clock::now()).count(), 0));
}

void NameServer::work() {
    std::vector<Asked> again;
    std::erase_if(asked_, [&](Asked& one) {
        if (pass_answer(one)) return true;
        if (one.due > Clock::now()) return false;
        again.push_back(std::move(one));
        return true;
    });
    for (Asked& one : again) ask(std::move(one));
    hear();
}

void NameServer::hear() {
    for (int turn = 0; turn < 64; ++turn) {  // then the container's output has its turn
        std::string message(largest_message, '\0'), client(sizeof(sockaddr_in), '\0');
        socklen_t size = socklen_t(client.size());
        const ssize_t n = ::recvfrom(socket_.get(), message.data(), message.size(), 0,
                                     reinterpret_cast<sockaddr*>(client.data()), &size);
        if (n < 0) return;
        message.resize(size_t(n));
        bool ask_others = false;
        const std::string answer = answer_to(message, ask_others);
        if (!answer.empty()) reply(client, answer);
        if (ask_others && asked_.size() < most_asked)
            ask({.upstream = {}, .question = message, .client = client});
    }
}

// From the containers of its networks: the name alone, or with the network's name behind it.
std::string NameServer::answer_to(std::string_view message, bool& ask_others) const {
    const auto question = read_dns_question(message);
    if (!question) return {};
    const auto reverse =
        question->type == dns_ptr ? address_of_reverse(question->name) : std::nullopt;
    std::vector<std::string> data;
    bool known = false;
    for (const std::string& network : options_.networks) {
        const std::string suffix = "." + lower(network.substr(network.rfind('/') + 1));
        for (const NamedAddress& one : named_addresses(network)) {
            if (reverse && one.address == *reverse) {
                known = true;
                data.push_back(one.names[0] + suffix);
            }
            for (const std::string& name : one.names) {
                const std::string plain = lower(name);
                if (reverse || (question->name != plain && question->name != plain + suffix))
                    continue;
                known = true;
                const uint32_t bytes = htonl(one.address);
                if (question->type == dns_a)
                    data.emplace_back(reinterpret_cast<const char*>(&bytes), sizeof bytes);
                break;
            }
        }
    }
    if (known) {
        static std::minstd_rand random{std::random_device{}()};
        std::ranges::shuffle(data, random);  // of several who have one name each has its turn
        return dns_answer(message, *question, DnsCode::fine, data);
    }
    if (options_.upstreams.empty())
        return dns_answer(message, *question, DnsCode::no_such_name, {});
    ask_others = true;
    return {};
}

// The next of them, or nobody any more.
void NameServer::ask(Asked asked) {
    while (asked.next < options_.upstreams.size()) {
        const sockaddr_in there = socket_address(options_.upstreams[asked.next++], 53);
        asked.upstream = datagram_socket();
        if (::connect(asked.upstream.get(), reinterpret_cast<const sockaddr*>(&there),
                      sizeof there) < 0 ||
            ::send(asked.upstream.get(), asked.question.data(), asked.question.size(),
                   MSG_NOSIGNAL) < 0)
            continue;
        asked.due = Clock::now() + patience_with_upstream;
        asked_.push_back(std::move(asked));
        return;
    }
    if (const auto question = read_dns_question(asked.question))
        reply(asked.client, dns_answer(asked.question, *question, DnsCode::failed, {}));
}

bool NameServer::pass_answer(Asked& asked) {
    std::string message(largest_message, '\0');
    const ssize_t n = ::recv(asked.upstream.get(), message.data(), message.size(), 0);
    if (n < 0 && errno != EAGAIN && errno != EINTR) asked.due = Clock::now();  // refused
    if (n < 12) return false;
    message.resize(size_t(n));
    if (message.compare(0, 2, asked.question, 0, 2) != 0) return false;
    const int code = message[3] & 15;
    if (code == int(DnsCode::failed) || code == int(DnsCode::refused)) {
        asked.due = Clock::now();
        if (asked.next < options_.upstreams.size()) return false;
    }
    reply(asked.client, message);
    return true;
}

void NameServer::reply(const std::string& client, std::string_view message) const {
    (void)!::sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(client.data()), socklen_t(client.size()));
}
