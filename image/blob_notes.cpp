// ROOT/notes/ALGORITHM-HEX, a file for each blob: two commands that write one at once lose one
// note, which does no harm. What cannot be read counts as not written.
#include "image/blob_notes.h"

#include <algorithm>

#include "base/file.h"
#include "base/sys.h"

namespace {

constexpr size_t most_repositories = 8;  // of one blob
constexpr size_t most_notes = size_t(1) << 20;
constexpr const char* in_registries = "registries";
constexpr const char* when_compressed = "compressed";

json::Value read_notes(const std::string& path) try {
    const auto text = read_file_if_exists(path, most_notes);
    json::Value notes = text ? json::parse(*text) : json::Value::object();
    return notes.is_object() ? notes : json::Value::object();
} catch (const Error&) {
    return json::Value::object();
}

const json::Value& member(const json::Value& value, const std::string& key) {
    static const json::Value none;
    const auto at = value.is_object() ? value.find(key) : value.end();
    return at == value.end() ? none : *at;
}

}  // namespace

BlobNotes::BlobNotes(const Store& store, const Digest& blob)
    : path_(str(store.root(), "/notes/", blob.dashed())), notes_(read_notes(path_)) {}

std::vector<std::string> BlobNotes::repositories(const std::string& registry,
                                                 const Digest& digest) const {
    std::vector<std::string> out;
    for (const json::Value& place : member(member(notes_, in_registries), digest.text())) {
        if (!place.is_string()) continue;
        const std::string name = place.get<std::string>();
        if (name.starts_with(registry + "/")) out.push_back(name.substr(registry.size() + 1));
    }
    return out;
}

bool BlobNotes::is_somewhere(const Digest& digest) const {
    return !member(member(notes_, in_registries), digest.text()).empty();
}

void BlobNotes::add_repository(const std::string& registry, const std::string& repository,
                               const Digest& digest) {
    const std::string name = registry + "/" + repository;
    const json::Value& before = member(member(notes_, in_registries), digest.text());
    if (before.is_array() && !before.empty() && before[0] == name) return;
    json::Value places = json::Value::array({name});
    for (const json::Value& place : before)
        if (place != name && places.size() < most_repositories) places.push_back(place);
    notes_[in_registries][digest.text()] = std::move(places);
    save();
}

std::optional<spec::Descriptor> BlobNotes::compressed(const std::string& how) const {
    const json::Value& result = member(member(notes_, when_compressed), how);
    const json::Value &digest = member(result, "digest"), &size = member(result, "size");
    if (!digest.is_string() || !size.is_number_unsigned() ||
        !Digest::is_valid(digest.get<std::string>()))
        return {};
    return spec::Descriptor{.digest = digest.get<std::string>(), .size = size.get<int64_t>()};
}

void BlobNotes::add_compressed(const std::string& how, const spec::Descriptor& result) {
    notes_[when_compressed][how] = {{"digest", result.digest}, {"size", uint64_t(result.size)}};
    save();
}

void BlobNotes::save() const {
    attempt("remembering what is known of a blob", [&] {
        sys::make_directories(path_.substr(0, path_.rfind('/')), 0700);
        replace_file(path_, json::dump(notes_), 0600, Durability::rename_only);
    });
}
