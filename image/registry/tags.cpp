// A list may come in pages of any length, short ones and empty ones, too: the last is the one that
// names no next one. Some registries say null for a repository without tags. A page that leads to
// itself would never end: there is a most.
#include <set>

#include "base/json.h"
#include "image/registry/pages.h"
#include "image/registry/repository.h"

static constexpr size_t most_tags = 100'000;
static constexpr size_t most_barren_pages = 100;  // one after the other, without a new tag

// Nothing for what is no list of tags.
static std::optional<std::vector<std::string>> tags_in(const std::string& text) try {
    const json::Value document = json::parse(text);
    if (!document.is_object() || !document.contains("tags")) return {};
    const json::Value& tags = document["tags"];
    if (tags.is_null()) return std::vector<std::string>();
    return json::read<std::vector<std::string>>(tags);
} catch (const std::exception&) {
    return {};
}

std::vector<std::string> Repository::tags() {
    const std::string doing = "listing the tags of " + name_.familiar_repository();
    std::vector<std::string> all;
    std::set<std::string> seen;
    size_t barren = 0;
    for (std::string path = "tags/list"; !path.empty();) {
        const HttpResponse answer = session_.send_patiently({.path = path});
        if (!answer.is_success()) refuse_document(answer);
        auto page = tags_in(answer.body);
        if (!page) throw session_.error(doing, "the answer is no list of tags", answer);
        ++barren;
        for (std::string& tag : *page)
            if (seen.insert(tag).second) all.push_back(std::move(tag)), barren = 0;
        if (barren > most_barren_pages || all.size() > most_tags)
            throw Error(doing, ": the list has no end");
        path = next_page(answer);
    }
    return all;
}
