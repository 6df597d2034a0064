// The words of an image, each with its form. An image is a stranger: what its config, its manifest
// or a Dockerfile says becomes one of these values when it is read, and no parser that was made for
// the user's command line (-v SOURCE:DIR, -p IP:HOST:PORT, -e NAME) ever sees its text. So nothing
// of it can name a place, an address or a port of the host's: it has no way to say it.
//
// Odd but harmless texts are in use and are read as Docker reads them: a volume "data" is /data, a
// port "80" is 80/tcp, "8000-8002/tcp" are three. Everything else throws Error with the word in
// quotes; the reader of the document adds the place.
#pragma once

#include <compare>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace spec {

// A place in a container's file system: at most 4095 bytes (PATH_MAX), no NUL, and no ":", which is
// -v's.
class ContainerPath {
public:
    explicit ContainerPath(std::string_view written);
    // As the document has it: for showing.
    const std::string& written() const { return written_; }
    // Absolute and clean, for using: "/", "/data". A relative one begins at "/", ".." ends there.
    const std::string& path() const { return path_; }
    auto operator<=>(const ContainerPath& other) const { return written_ <=> other.written_; }
    bool operator==(const ContainerPath& other) const { return written_ == other.written_; }

private:
    std::string written_, path_;
};

// A port of a container: a number from 1 and tcp, udp or sctp.
class Port {
public:
    Port(uint16_t number, std::string_view protocol);
    uint16_t number() const { return number_; }
    const std::string& protocol() const { return protocol_; }
    std::string text() const;  // "80/tcp"
    // As the texts are sorted: so they stand in documents.
    auto operator<=>(const Port& other) const { return text() <=> other.text(); }
    bool operator==(const Port& other) const = default;

private:
    uint16_t number_;
    std::string protocol_;
};
// NUMBER[-NUMBER][/PROTOCOL]
std::set<Port> parse_ports(std::string_view text);

// A word of an environment: NAME=VALUE, the name not empty.
class Variable {
public:
    explicit Variable(std::string text);
    Variable(std::string_view name, std::string_view value);
    static bool is_one(std::string_view text);
    std::string_view name() const { return std::string_view(text_).substr(0, equals_); }
    std::string_view value() const { return std::string_view(text_).substr(equals_ + 1); }
    const std::string& text() const { return text_; }
    bool operator==(const Variable& other) const = default;

private:
    std::string text_;
    size_t equals_;
};

// USER[:GROUP], names or numbers; what is left out is "". It is the form of `-u`, too.
class UserName {
public:
    UserName() = default;
    UserName(const std::string& text);  // not explicit: who has a text has a user
    const std::string& text() const { return text_; }
    const std::string& user() const { return user_; }
    const std::string& group() const { return group_; }
    bool empty() const { return text_.empty(); }

private:
    std::string text_, user_, group_;
};

// "9", "KILL", "SIGKILL", "RTMIN+3"; or none at all.
class Signal {
public:
    Signal() = default;
    explicit Signal(const std::string& text);  // Docker's words: invalid signal: x
    const std::string& text() const { return text_; }
    int number() const { return number_; }  // 0 if none
    bool empty() const { return text_.empty(); }

private:
    std::string text_;
    int number_ = 0;
};

// --- what stays a text, but has a form

// ALGORITHM:ENCODED of descriptor.md, any algorithm; for the registered ones, exactly their digits.
void check_digest(std::string_view text);
// TYPE/SUBTYPE of RFC 6838.
void check_media_type(std::string_view text);
// A word of a platform: letters, digits, ".", "-", "_".
void check_platform_word(std::string_view text);

}  // namespace spec
