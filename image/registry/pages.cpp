// A Link is a list of `<URL>; name="value"; …`, and there may be several such headers. URLs may
// have commas in them, values commas and semicolons, and a registry may leave out the quotes. One
// behind a proxy may not know how it is called: of its URL only what stands behind the host is
// used, so that nobody is sent to another machine by it, either.
#include "image/registry/pages.h"

#include <cctype>

#include "image/registry/url.h"

namespace {

class Links {
public:
    explicit Links(std::string_view text) : rest_(text) {}

    // What the link with rel="next" leads to, or "".
    std::string next() {
        for (;;) {
            const size_t begin = rest_.find('<');
            const size_t end = begin == std::string_view::npos ? begin : rest_.find('>', begin);
            if (end == std::string_view::npos) return "";
            const std::string_view target = rest_.substr(begin + 1, end - begin - 1);
            rest_.remove_prefix(end + 1);
            if (is_next()) return std::string(target);
        }
    }

private:
    // Up to the comma that ends the link.
    bool is_next() {
        bool found = false;
        while (skip_space(), !rest_.empty() && rest_[0] == ';') {
            rest_.remove_prefix(1);
            skip_space();
            const std::string name = lower(std::string(up_to("=;,")));
            std::string value;
            if (rest_.starts_with('=')) rest_.remove_prefix(1), skip_space(), value = this->value();
            if (name == "rel")
                for (const std::string& relation : split(value, ' '))
                    found |= lower(relation) == "next";
        }
        return found;
    }

    std::string value() {
        if (!rest_.starts_with('"')) return std::string(up_to(";,"));
        rest_.remove_prefix(1);
        const std::string_view inside = rest_.substr(0, rest_.find('"'));
        rest_.remove_prefix(std::min(inside.size() + 1, rest_.size()));
        return std::string(inside);
    }

    std::string_view up_to(std::string_view ends) {
        const std::string_view out = rest_.substr(0, rest_.find_first_of(ends));
        rest_.remove_prefix(out.size());
        return trim(out);
    }
    void skip_space() {
        while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_[0])))
            rest_.remove_prefix(1);
    }

    std::string_view rest_;
};

}  // namespace

std::string next_page(const HttpResponse& answer) {
    const auto [begin, end] = answer.headers.equal_range("link");
    for (auto header = begin; header != end; ++header) {
        const std::string target = Links(header->second).next();
        if (target.empty()) continue;
        Url here = parse_url(answer.url);
        here.rest = resolve_url(here, target).rest;
        return here.text();
    }
    return "";
}
