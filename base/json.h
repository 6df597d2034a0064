// Structs <-> JSON from field tables, with Go's semantics, so that our output equals the peers'. A
// struct declares its table once, beside the struct's .cpp:
//
//   template <> inline constexpr auto json::fields<Mount> = std::tuple(
//       json::required("destination", &Mount::destination),
//       json::optional("options", &Mount::options));
//
// required = always written (no omitempty in Go); optional = left out when empty. Neither refuses a
// document that lacks it: what must be there is said by spec/validate. Enums declare
// json::names<E>. null is the zero value, unknown properties are ignored, numbers are
// range-checked, duplicate keys and bytes after the document are errors. An error names the path:
//   mounts[0].uidMappings[0].hostID: is out of range: 4294967296
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/json_place.h"

namespace json {

using Value = nlohmann::ordered_json;

// What a text says; throws Error with line and column. Depth and duplicate keys are checked.
Value parse(std::string_view text);
// Bytes that are not UTF-8 become U+FFFD. indent: blanks for each level, indent_tabs for a tab, -1
// for one line.
std::string dump(const Value& value, int indent = -1);

// Behind the others, without a look at whether there is one of that name.
void add_member(Value& object, std::string key, Value value);

template <class Struct, class Member>
struct Field {
    const char* name;
    Member Struct::* member;
    bool omit_empty;
};
template <class Struct, class Member>
constexpr auto required(const char* name, Member Struct::* member) {
    return Field<Struct, Member>{name, member, false};
}
template <class Struct, class Member>
constexpr auto optional(const char* name, Member Struct::* member) {
    return Field<Struct, Member>{name, member, true};
}

template <class Struct>
inline constexpr auto fields = nullptr;
template <class Enum>
inline constexpr auto names = nullptr;  // an array of std::pair<Enum, const char*>

template <class T>
concept Described = !std::is_same_v<std::remove_cv_t<decltype(fields<T>)>, std::nullptr_t>;
template <class T>
concept Named = !std::is_same_v<std::remove_cv_t<decltype(names<T>)>, std::nullptr_t>;

[[noreturn]] void type_error(const Value& value, const char* expected);

// Runs what reads a part of a document: an error is that part's.
template <class Read>
decltype(auto) at(const Place& part, Read&& read) try {
    return std::forward<Read>(read)();
} catch (Error& e) {
    e.locate(str(part));
    throw;
}

template <class T>
struct Codec;

template <class T>
void read(const Value& value, T& out) {
    if (value.is_null()) return;  // Go: null leaves the zero value
    Codec<T>::read(value, out);
}
template <class T>
T read(const Value& value) {
    T out{};
    read(value, out);
    return out;
}
template <class T>
Value write(const T& value) {
    return Codec<T>::write(value);
}
template <class T>
bool is_empty(const T& value) {
    return Codec<T>::is_empty(value);
}

template <>
struct Codec<Value> {
    static void read(const Value& v, Value& out) { out = v; }
    static Value write(const Value& v) { return v; }
    static bool is_empty(const Value& v) { return v.is_null(); }
};

// What goes to the kernel ends there: "/etc\0x" would be checked as one path and used as another.
inline void refuse_nul(const std::string& text) {
    if (text.contains('\0')) throw Error("contains a NUL byte");
}

template <>
struct Codec<std::string> {
    static void read(const Value& v, std::string& out) {
        if (!v.is_string()) type_error(v, "a string");
        out = v.get_ref<const std::string&>();
        refuse_nul(out);
    }
    static Value write(const std::string& v) { return v; }
    static bool is_empty(const std::string& v) { return v.empty(); }
};

template <>
struct Codec<bool> {
    static void read(const Value& v, bool& out) {
        if (!v.is_boolean()) type_error(v, "true or false");
        out = v.get<bool>();
    }
    static Value write(bool v) { return v; }
    static bool is_empty(bool v) { return !v; }
};

template <>
struct Codec<double> {
    static void read(const Value& v, double& out) {
        if (!v.is_number()) type_error(v, "a number");
        out = v.get<double>();
    }
    static Value write(double v) { return v; }
    static bool is_empty(double v) { return v == 0; }
};

template <class T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
struct Codec<T> {
    static void read(const Value& v, T& out) {
        using Limits = std::numeric_limits<T>;
        if (v.is_number_unsigned()) {
            const auto n = v.get<uint64_t>();
            if (n > uint64_t(Limits::max())) out_of_range(v);
            out = T(n);
        } else if (v.is_number_integer()) {
            const auto n = v.get<int64_t>();
            if constexpr (std::is_unsigned_v<T>) {
                if (n < 0) out_of_range(v);
            } else if (n < int64_t(Limits::min()) || n > int64_t(Limits::max())) {
                out_of_range(v);
            }
            out = T(n);
        } else if (v.is_number_float()) {
            // 1e3 is a whole number to JSON; what does not fit or has a fraction is refused.
            const double n = v.get<double>();
            if (std::trunc(n) != n) type_error(v, "a whole number");
            if (!(n >= double(Limits::min()) && n <= double(Limits::max())) ||
                std::abs(n) > 9007199254740992.0)
                out_of_range(v);
            out = T(n);
        } else {
            type_error(v, "a whole number");
        }
    }
    static Value write(T v) { return v; }
    static bool is_empty(T v) { return v == 0; }

private:
    [[noreturn]] static void out_of_range(const Value& v) {
        throw Error("is out of range: ", v.dump(), ", must be from ",
                    +std::numeric_limits<T>::min(), " to ", +std::numeric_limits<T>::max());
    }
};

template <Named T>
struct Codec<T> {
    static void read(const Value& v, T& out) {
        if (!v.is_string()) type_error(v, "a string");
        for (const auto& [value, name] : names<T>)
            if (v.get_ref<const std::string&>() == name) {
                out = value;
                return;
            }
        std::string known;
        for (const auto& [value, name] : names<T>)
            if (*name) known += str(known.empty() ? "" : ", ", name);
        throw Error("is ", quoted(v.get_ref<const std::string&>()), ", but must be one of ", known);
    }
    static Value write(T v) {
        for (const auto& [value, name] : names<T>)
            if (v == value) return name;
        return nullptr;
    }
    static bool is_empty(T v) { return v == T{}; }
};

template <class T>
struct Codec<std::optional<T>> {
    static void read(const Value& v, std::optional<T>& out) { json::read(v, out.emplace()); }
    static Value write(const std::optional<T>& v) { return v ? json::write(*v) : Value(nullptr); }
    static bool is_empty(const std::optional<T>& v) { return !v; }
};

template <class T>
struct Codec<std::vector<T>> {
    static void read(const Value& v, std::vector<T>& out) {
        if (!v.is_array()) type_error(v, "an array");
        out.reserve(v.size());
        for (size_t i = 0; i < v.size(); ++i)
            at({"", i}, [&] {
                T element{};
                json::read(v[i], element);
                out.push_back(std::move(element));
            });
    }
    static Value write(const std::vector<T>& v) {
        Value out = Value::array();
        for (const auto& element : v) out.push_back(json::write(T(element)));
        return out;
    }
    static bool is_empty(const std::vector<T>& v) { return v.empty(); }
};

template <class T>
struct Codec<std::map<std::string, T>> {
    static void read(const Value& v, std::map<std::string, T>& out) {
        if (!v.is_object()) type_error(v, "an object");
        for (const auto& [key, element] : v.items()) {
            refuse_nul(key);
            at(key, [&] { json::read(element, out[key]); });
        }
    }
    static Value write(const std::map<std::string, T>& v) {
        Value out = Value::object();
        for (const auto& [key, element] : v) add_member(out, key, json::write(element));
        return out;
    }
    static bool is_empty(const std::map<std::string, T>& v) { return v.empty(); }
};

// Go's map[string]struct{}: an object of empty objects.
template <>
struct Codec<std::set<std::string>> {
    static void read(const Value& v, std::set<std::string>& out) {
        if (!v.is_object()) type_error(v, "an object");
        for (const auto& [key, element] : v.items()) {
            if (!element.is_object() && !element.is_null())
                at(key, [&] { type_error(element, "an object"); });
            out.insert(key);
        }
    }
    static Value write(const std::set<std::string>& v) {
        Value out = Value::object();
        for (const auto& key : v) add_member(out, key, Value::object());
        return out;
    }
    static bool is_empty(const std::set<std::string>& v) { return v.empty(); }
};

template <Described T>
struct Codec<T> {
    static void read(const Value& v, T& out) {
        if (!v.is_object()) type_error(v, "an object");
        std::apply([&](const auto&... field) { (read_field(v, out, field), ...); }, fields<T>);
    }
    static Value write(const T& v) {
        Value out = Value::object();
        std::apply([&](const auto&... field) { (write_field(v, out, field), ...); }, fields<T>);
        return out;
    }
    static bool is_empty(const T& v) {
        return std::apply(
            [&](const auto&... field) { return (json::is_empty(v.*field.member) && ...); },
            fields<T>);
    }

private:
    static void read_field(const Value& v, T& out, const auto& field) {
        const auto found = v.find(field.name);
        if (found == v.end()) return;
        at(field.name, [&] { json::read(*found, out.*field.member); });
    }
    static void write_field(const T& v, Value& out, const auto& field) {
        if (field.omit_empty && json::is_empty(v.*field.member)) return;
        add_member(out, field.name, json::write(v.*field.member));
    }
};

// A whole document. Throws Error with the path of what is wrong; the caller adds the file's name.
template <class T>
T from_text(std::string_view text) {
    const Value value = parse(text);
    if (!value.is_object() && !value.is_array()) type_error(value, "an object");
    return json::read<T>(value);
}
template <class T>
std::string to_text(const T& value, int indent = -1) {
    return dump(json::write(value),
                indent);  // qualified: a struct's own namespace may have a write() too
}

}  // namespace json
