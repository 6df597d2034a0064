// DNS messages (RFC 1035), as far as a resolver needs them that knows a few names and asks others
// for the rest: one question is read, an answer is made.
//
// What is hard: they come from containers, which may send anything. A name is read with its lengths
// checked, without pointers (a question has none), in one pass.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

enum DnsType : uint16_t { dns_a = 1, dns_ptr = 12, dns_aaaa = 28 };

struct DnsQuestion {
    uint16_t id = 0, flags = 0, type = 0, kind = 0;  // `kind` is the class; 1 is the internet
    std::string name;                                // in small letters, without the last dot
    size_t end = 0;                                  // where the question ends in the message
};
// Nothing for what is no question, or has more than one.
std::optional<DnsQuestion> read_dns_question(std::string_view message);

enum class DnsCode : uint8_t { fine = 0, failed = 2, no_such_name = 3, refused = 5 };
// The answer to a message that read_dns_question() could read. `data`: one record of the asked type
// each, an address' bytes, or for a PTR a name in text. An empty answer says that there is the
// name, but nothing of that type.
std::string dns_answer(std::string_view message, const DnsQuestion& question, DnsCode code,
                       const std::vector<std::string>& data);

// "4.0.17.172.in-addr.arpa" as 172.17.0.4 in host order; nothing for any other name.
std::optional<uint32_t> address_of_reverse(std::string_view name);
