// What is hard: a missing index.json is either a new store's or a lost one, and to take the second
// for the first would give all blobs to the collector. A store that has blobs was not new. Whether
// it is new is asked under the lock, because another process may be making the same store. A name
// that is none of ours stays in the file as it is: an image layout may be other tools' work as
// well.
#include "image/names.h"

#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "image/work.h"

namespace {

constexpr const char* name_key = "org.opencontainers.image.ref.name";

void write_index(const std::string& root, const spec::Index& index) {
    replace_file(root + "/index.json", spec::write(index) + "\n", 0600);
}

bool has_blobs(const std::string& root) {
    for (const std::string& algorithm : names_in_if_exists(root + "/blobs"))
        if (!names_in_if_exists(root + "/blobs/" + algorithm).empty()) return true;
    return false;
}

}  // namespace

Names::Names(const std::string& root)
    : root_(root), lock_(root + "/index.lock"), index_(read(root)) {}

spec::Index Names::read(const std::string& root) {
    const std::string path = root + "/index.json";
    const auto text = read_file_if_exists(path);
    if (!text) throw Error(path, " is missing: the store is damaged, see keg system check");
    return context(path, [&] { return spec::read_index(*text); });
}

void Names::make_if_new(const std::string& root) {
    const FileLock alone(root + "/index.lock");
    if (read_file_if_exists(root + "/index.json") || has_blobs(root)) return;
    write_index(root, {.media_type = std::string(spec::media::index)});
}

void Names::save() { write_index(root_, index_); }

void Names::remove_torn() const {
    for (const std::string& name : names_in_if_exists(root_))
        if (name.starts_with(".index.json.")) ::unlink(str(root_, "/", name).c_str());
}

std::string name_of(const spec::Descriptor& entry) {
    const auto at = entry.annotations.find(name_key);
    return at == entry.annotations.end() ? "" : at->second;
}

void set_name(spec::Descriptor& entry, const std::string& name) {
    if (name.empty())
        entry.annotations.erase(name_key);
    else
        entry.annotations[name_key] = name;
}

std::optional<Reference> reference_of(const spec::Descriptor& entry) {
    const std::string name = name_of(entry);
    if (name.empty()) return {};
    try {
        return parse_reference(name);
    } catch (const Error&) {
        return {};
    }
}
