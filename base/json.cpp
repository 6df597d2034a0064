#include "base/json.h"

namespace json {

Value parse(std::string_view text) {
    // The callback sees every key with its depth: one set of keys per open object.
    constexpr int deepest = 200;
    std::vector<std::set<std::string>> keys;
    auto watch = [&](int depth, Value::parse_event_t event, Value& parsed) {
        if (depth > deepest) throw Error("is nested more than ", deepest, " deep");
        if (event == Value::parse_event_t::object_start) keys.emplace_back();
        if (event == Value::parse_event_t::object_end && !keys.empty()) keys.pop_back();
        if (event == Value::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
            throw Error("has the property ", quoted(parsed.get<std::string>()), " twice");
        return true;
    };
    try {
        return Value::parse(text.begin(), text.end(), watch);
    } catch (const nlohmann::json::parse_error& e) {
        // nlohmann: "[json.exception.parse_error.101] parse error at line 1, column 2: …"
        std::string why = e.what();
        const size_t at = why.find("at line");
        throw Error("is not JSON: ", at == std::string::npos ? why : why.substr(at));
    } catch (const nlohmann::json::out_of_range& e) {
        // "[json.exception.out_of_range.406] number overflow parsing '1e999'"
        const std::string why = e.what();
        throw Error("has a number out of range: ", why.substr(std::min(why.find('\''), why.size())));
    }
}

std::string dump(const Value& value, int indent) {
    return value.dump(indent == indent_tabs ? 1 : indent, indent == indent_tabs ? '\t' : ' ', false, Value::error_handler_t::replace);
}

void type_error(const Value& value, const char* expected) {
    std::string shown = dump(value);
    if (shown.size() > 60) shown = shown.substr(0, 57) + "...";
    throw Error("must be ", expected, ", but is ", shown);
}

}  // namespace json
