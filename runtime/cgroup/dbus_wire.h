// What D-Bus puts on the wire: values of a few types, and messages made of them. Both directions
// are one table's worth of rules (a value is aligned to its size, texts and arrays have 32-bit
// lengths), so a value carries its type's signature, and reading follows a signature.
//
// Bytes that are read come from another process: nothing is believed. Every length is checked
// against what is there before it is used, and nesting has an end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace dbus {

// One value: y, b, q, u, t hold uint64_t; n, i, x int64_t; d double; s, o, g text; arrays, structs
// and dict entries their elements; a variant the one value in it.
struct Value {
    std::string signature;
    std::variant<uint64_t, int64_t, double, std::string, std::vector<Value>> data;

    bool operator==(const Value&) const = default;
    // Throw Error if it is something else.
    uint64_t number() const;
    const std::string& text() const;
    const std::vector<Value>& elements() const;
};

inline Value text(std::string value) { return {"s", std::move(value)}; }
inline Value boolean(bool value) { return {"b", uint64_t(value)}; }
inline Value u32(uint32_t value) { return {"u", uint64_t(value)}; }
inline Value u64(uint64_t value) { return {"t", value}; }
inline Value array(std::string_view element, std::vector<Value> elements) {
    return {"a" + std::string(element), std::move(elements)};
}
inline Value variant(Value value) { return {"v", std::vector<Value>{std::move(value)}}; }
Value structure(std::vector<Value> members);

// All values one after the other, as in a message's body.
std::string write(const std::vector<Value>& values);
// Throws Error unless the bytes are exactly values of these types.
std::vector<Value> read(std::string_view bytes, std::string_view signature);

enum class Kind : uint8_t { call = 1, reply = 2, error = 3, signal = 4 };

struct Message {
    Kind kind = Kind::call;
    uint32_t serial = 0, reply_to = 0;
    std::string path, interface, member, error, destination, signature;
    std::string body;

    std::vector<Value> arguments() const { return read(body, signature); }
};

std::string write(const Message& message);

// A message starts with so many bytes that say how long it is. Throws Error if that is more than we
// will ever need, or not D-Bus.
inline constexpr size_t prefix_size = 16;
size_t size_of(std::string_view prefix);
// Of exactly one message.
Message read_message(std::string_view bytes);

}  // namespace dbus
