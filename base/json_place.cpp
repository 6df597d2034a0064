#include "base/json_place.h"

#include "base/text.h"

namespace json {

void append(std::string& out, const Place& place) {
    if (place.in_) append(out, *place.in_), out += '.';
    const std::string escaped = quoted(place.name_);
    if (escaped.size() == place.name_.size() + 2)
        out += place.name_;
    else
        out += escaped;
    if (place.index_) out += str("[", *place.index_, "]");
}

}  // namespace json
