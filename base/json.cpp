// JSON of strangers. What is hard: the library keeps an object in the order of the text by looking
// through all keys for each new one, so that a document of some megabytes takes minutes; and it
// takes a key twice, of which another reader may believe the other one. So the library reads the
// text and we put the document together from its events: every key looked up in a set, depth
// bounded, nothing repeated.
#include "base/json.h"

#include <unordered_set>

namespace json {

namespace {

constexpr size_t deepest = 200;

class Builder {
public:
    using number_integer_t = Value::number_integer_t;
    using number_unsigned_t = Value::number_unsigned_t;
    using number_float_t = Value::number_float_t;
    using string_t = Value::string_t;
    using binary_t = Value::binary_t;

    explicit Builder(Value& root) : root_(root) {}

    bool null() { return put(nullptr), true; }
    bool boolean(bool value) { return put(value), true; }
    bool number_integer(number_integer_t value) { return put(value), true; }
    bool number_unsigned(number_unsigned_t value) { return put(value), true; }
    bool number_float(number_float_t value, const string_t&) { return put(value), true; }
    bool string(string_t& value) { return put(std::move(value)), true; }
    bool binary(binary_t&) { return false; }  // not in JSON
    bool start_object(size_t) { return open(Value::object()); }
    bool start_array(size_t) { return open(Value::array()); }
    bool end_object() { return open_.pop_back(), true; }
    bool end_array() { return open_.pop_back(), true; }

    bool key(string_t& name) {
        if (!open_.back().keys.insert(name).second)
            throw Error("has the property ", quoted(name), " twice");
        key_ = std::move(name);
        return true;
    }

    bool parse_error(size_t, const std::string&, const nlohmann::json::exception& e) {
        const std::string why = e.what();
        // "[json.exception.out_of_range.406] number overflow parsing '1e999'"
        if (dynamic_cast<const nlohmann::json::out_of_range*>(&e))
            throw Error("has a number out of range: ",
                        why.substr(std::min(why.find('\''), why.size())));
        // "[json.exception.parse_error.101] parse error at line 1, column 2: …"
        const size_t at = why.find("at line");
        throw Error("is not JSON: ", at == std::string::npos ? why : why.substr(at));
    }

private:
    struct Open {
        Value* value;
        std::unordered_set<std::string> keys = {};
    };

    // Where the value lies now. It stays there until it is closed: only the innermost one grows.
    template <class Part>
    Value* put(Part&& value) {
        if (open_.empty()) {
            root_ = std::forward<Part>(value);
            return &root_;
        }
        Value& parent = *open_.back().value;
        if (parent.is_array()) {
            auto& elements = parent.get_ref<Value::array_t&>();
            elements.emplace_back(std::forward<Part>(value));
            return &elements.back();
        }
        auto& members = parent.get_ref<Value::object_t&>();
        members.emplace_back(std::move(key_), std::forward<Part>(value));
        return &members.back().second;
    }

    bool open(Value&& empty) {
        if (open_.size() >= deepest) throw Error("is nested more than ", deepest, " deep");
        open_.push_back({put(std::move(empty))});
        return true;
    }

    Value& root_;
    std::vector<Open> open_;
    std::string key_;
};

}  // namespace

Value parse(std::string_view text) {
    Value document;
    Builder builder(document);
    Value::sax_parse(text.begin(), text.end(), &builder);
    return document;
}

void add_member(Value& object, std::string key, Value value) {
    object.get_ref<Value::object_t&>().emplace_back(std::move(key), std::move(value));
}

std::string dump(const Value& value, int indent) {
    return value.dump(indent == indent_tabs ? 1 : indent, indent == indent_tabs ? '\t' : ' ', false,
                      Value::error_handler_t::replace);
}

void type_error(const Value& value, const char* expected) {
    std::string shown = dump(value);
    if (shown.size() > 60) shown = shown.substr(0, 57) + "...";
    throw Error("must be ", expected, ", but is ", shown);
}

}  // namespace json
