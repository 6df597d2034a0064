// The format's traps are its gaps. A number lies at a multiple of its size, counted from the start
// of the message, so a reader must know where it is and not only what is left. An array's length
// does not count the gap before its first element, and the gap is there even if no element is.
//
// What a peer sends must not cost more than its bytes: nesting has an end, a struct without members
// is no type (an array would hold any number of them in no bytes), and a message that is too long
// is refused by its first 16 bytes.
#include "runtime/cgroup/dbus_wire.h"

#include <bit>
#include <cstring>

#include "base/error.h"

namespace dbus {

static_assert(std::endian::native == std::endian::little,
              "messages are written as the processor has its numbers");

namespace {

constexpr int deepest = 32;                  // what the specification allows
constexpr size_t longest = size_t(1) << 20;  // it allows 128 MiB; systemd's answers are below 1 KiB

[[noreturn]] void malformed(std::string_view what) {
    throw Error("malformed D-Bus message: ", what);
}

size_t size_of_number(char type) {
    switch (type) {
        case 'y': return 1;
        case 'n':
        case 'q': return 2;
        case 'b':
        case 'i':
        case 'u': return 4;
        case 'x':
        case 't':
        case 'd': return 8;
        default: return 0;
    }
}

size_t alignment(char type) {
    if (const size_t number = size_of_number(type)) return number;
    switch (type) {
        case 's':
        case 'o':
        case 'a': return 4;
        case '(':
        case '{': return 8;
        case 'g':
        case 'v': return 1;
        default: malformed(str("unknown type ", quoted(std::string(1, type))));
    }
}

size_t aligned(size_t at, size_t to) { return (at + to - 1) / to * to; }

// The length of the first complete type.
size_t first_type(std::string_view signature, int depth = 0) {
    if (signature.empty() || depth > deepest) malformed("bad signature");
    if (signature[0] == 'a') return 1 + first_type(signature.substr(1), depth + 1);
    if (signature[0] != '(' && signature[0] != '{') return alignment(signature[0]), 1;
    const char close = signature[0] == '(' ? ')' : '}';
    size_t at = 1;
    while (at < signature.size() && signature[at] != close)
        at += first_type(signature.substr(at), depth + 1);
    if (at >= signature.size() || at == 1) malformed("bad signature");
    return at + 1;
}

// --- writing

void pad(std::string& out, size_t to) { out.resize(aligned(out.size(), to)); }

template <class Number>
void add_bytes(std::string& out, Number number, size_t size) {
    pad(out, size);
    char bytes[8];
    static_assert(sizeof number == 8);
    std::memcpy(bytes, &number, 8);  // little-endian: the low ones come first
    out.append(bytes, size);
}

void add(std::string& out, const Value& value) {
    const char type = value.signature.at(0);
    if (const size_t size = size_of_number(type)) {
        if (const auto* number = std::get_if<uint64_t>(&value.data))
            return add_bytes(out, *number, size);
        if (const auto* number = std::get_if<int64_t>(&value.data))
            return add_bytes(out, *number, size);
        return add_bytes(out, std::get<double>(value.data), size);
    }
    if (type == 's' || type == 'o' || type == 'g') {
        const std::string& text = value.text();
        add_bytes(out, uint64_t(text.size()), type == 'g' ? 1 : 4);
        out.append(text).push_back('\0');
        return;
    }
    if (type == 'v') {
        add(out, {"g", value.elements().at(0).signature});
        return add(out, value.elements()[0]);
    }
    size_t length_at = 0, start = 0;
    if (type == 'a') {
        add_bytes(out, uint64_t(0), 4);
        length_at = out.size() - 4;
        pad(out, alignment(value.signature.at(1)));
        start = out.size();
    } else {
        pad(out, 8);
    }
    for (const Value& element : value.elements()) add(out, element);
    if (type != 'a') return;
    const auto length = uint32_t(out.size() - start);
    std::memcpy(out.data() + length_at, &length, sizeof length);
}

// --- reading

class Reader {
public:
    Reader(std::string_view bytes, size_t at) : bytes_(bytes), at_(at) {}

    Value value(std::string_view signature, int depth = 0) {
        if (depth > deepest) malformed("too deep");
        const char type = signature.at(0);
        Value made{std::string(signature), {}};
        if (const size_t size = size_of_number(type)) {
            const uint64_t raw = number(size);
            if (type == 'n')
                made.data = int64_t(int16_t(raw));
            else if (type == 'i')
                made.data = int64_t(int32_t(raw));
            else if (type == 'x')
                made.data = int64_t(raw);
            else if (type == 'd')
                made.data = std::bit_cast<double>(raw);
            else
                made.data = raw;
        } else if (type == 's' || type == 'o' || type == 'g') {
            made.data = text(type == 'g' ? 1 : 4);
        } else if (type == 'v') {
            const std::string inner = text(1);
            if (first_type(inner) != inner.size()) malformed("a variant of more than one type");
            made.data = std::vector<Value>{value(inner, depth + 1)};
        } else if (type == 'a') {
            made.data = elements(signature.substr(1), depth);
        } else {
            skip_padding(8);
            made.data = values(signature.substr(1, signature.size() - 2), depth);
        }
        return made;
    }

    std::vector<Value> values(std::string_view signature, int depth = 0) {
        std::vector<Value> found;
        while (!signature.empty()) {
            const size_t length = first_type(signature);
            found.push_back(value(signature.substr(0, length), depth + 1));
            signature.remove_prefix(length);
        }
        return found;
    }

    uint64_t number(size_t size) {
        skip_padding(size);
        uint64_t raw = 0;
        std::memcpy(&raw, take(size).data(), size);
        return raw;
    }

    void skip_padding(size_t to) {
        for (const char c : take(aligned(at_, to) - at_))
            if (c != '\0') malformed("padding that is not zero");
    }
    size_t at() const { return at_; }

private:
    std::string_view take(size_t count) {
        if (count > bytes_.size() - at_) malformed("it ends too early");
        at_ += count;
        return bytes_.substr(at_ - count, count);
    }

    std::string text(size_t length_size) {
        const size_t length = number(length_size);
        const std::string_view found = take(length);
        if (take(1)[0] != '\0' || found.find('\0') != std::string_view::npos)
            malformed("a text with a zero byte");
        return std::string(found);
    }

    std::vector<Value> elements(std::string_view signature, int depth) {
        const size_t length = number(4);
        skip_padding(alignment(signature.at(0)));
        if (length > bytes_.size() - at_) malformed("an array longer than its message");
        const size_t end = at_ + length;
        std::vector<Value> found;
        while (at_ < end) found.push_back(value(signature, depth + 1));
        if (at_ != end) malformed("an array that ends inside an element");
        return found;
    }

    std::string_view bytes_;
    size_t at_;
};

// The header's fields by their numbers.
enum Field : uint8_t {
    path = 1,
    interface = 2,
    member = 3,
    error = 4,
    reply_to = 5,
    destination = 6,
    signature = 8
};

void add_field(std::vector<Value>& fields, Field field, const char* type, const std::string& text) {
    if (!text.empty()) fields.push_back(structure({{"y", uint64_t(field)}, variant({type, text})}));
}

}  // namespace

uint64_t Value::number() const {
    if (const auto* found = std::get_if<uint64_t>(&data)) return *found;
    throw Error("D-Bus: a number was expected, not ", signature);
}
const std::string& Value::text() const {
    if (const auto* found = std::get_if<std::string>(&data)) return *found;
    throw Error("D-Bus: a text was expected, not ", signature);
}
const std::vector<Value>& Value::elements() const {
    if (const auto* found = std::get_if<std::vector<Value>>(&data)) return *found;
    throw Error("D-Bus: elements were expected, not ", signature);
}

Value structure(std::vector<Value> members) {
    std::string signature = "(";
    for (const Value& member : members) signature += member.signature;
    return {signature + ")", std::move(members)};
}

std::string write(const std::vector<Value>& values) {
    std::string out;
    for (const Value& value : values) add(out, value);
    return out;
}

std::vector<Value> read(std::string_view bytes, std::string_view signature) {
    Reader reader(bytes, 0);
    std::vector<Value> found = reader.values(signature);
    if (reader.at() != bytes.size()) malformed("more bytes than its signature says");
    return found;
}

std::string write(const Message& message) {
    std::vector<Value> fields;
    add_field(fields, path, "o", message.path);
    add_field(fields, interface, "s", message.interface);
    add_field(fields, member, "s", message.member);
    add_field(fields, error, "s", message.error);
    if (message.reply_to)
        fields.push_back(structure({{"y", uint64_t(reply_to)}, variant(u32(message.reply_to))}));
    add_field(fields, destination, "s", message.destination);
    add_field(fields, signature, "g", message.signature);
    std::string out = write(std::vector<Value>{{"y", uint64_t('l')},
                                               {"y", uint64_t(message.kind)},
                                               {"y", uint64_t(0)},
                                               {"y", uint64_t(1)},
                                               u32(uint32_t(message.body.size())),
                                               u32(message.serial),
                                               array("(yv)", std::move(fields))});
    pad(out, 8);
    return out + message.body;
}

size_t size_of(std::string_view prefix) {
    Reader reader(prefix.substr(0, prefix_size), 0);
    if (reader.number(1) != 'l') malformed("not in this machine's byte order");
    reader.number(1), reader.number(1);
    if (reader.number(1) != 1) malformed("not of version 1");
    const size_t body = reader.number(4);
    reader.number(4);
    const size_t size = aligned(prefix_size + reader.number(4), 8) + body;
    if (size > longest) malformed("too long");
    return size;
}

Message read_message(std::string_view bytes) {
    if (bytes.size() < prefix_size || size_of(bytes) != bytes.size())
        malformed("not as long as it says");
    Reader reader(bytes, 1);
    Message message;
    message.kind = Kind(reader.number(1));
    reader.number(1), reader.number(1);
    const size_t body = reader.number(4);
    message.serial = uint32_t(reader.number(4));
    const Value fields = reader.value("a(yv)");
    for (const Value& field : fields.elements()) {
        const Value& value = field.elements().at(1).elements().at(0);
        switch (field.elements()[0].number()) {
            case path: message.path = value.text(); break;
            case interface: message.interface = value.text(); break;
            case member: message.member = value.text(); break;
            case error: message.error = value.text(); break;
            case reply_to: message.reply_to = uint32_t(value.number()); break;
            case destination: message.destination = value.text(); break;
            case signature: message.signature = value.text(); break;
            default: break;  // the specification: unknown fields are ignored
        }
    }
    reader.skip_padding(8);
    message.body = std::string(bytes.substr(reader.at()));
    if (message.body.size() != body) malformed("its body is not as long as it says");
    return message;
}

}  // namespace dbus
