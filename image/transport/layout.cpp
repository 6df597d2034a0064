// A layout is anybody's: nothing of it is opened but regular files, no link is followed, and a
// digest becomes a path only after it was looked at. Others may write to the same directory: blobs
// get their names when they are whole, and index.json is replaced under a lock. Who fails takes
// away what he put, unless somebody else is at work, who may have found it there. The locks are on
// the directories, so that nothing is left of them.
#include "image/transport/layout.h"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <ranges>

#include "base/defer.h"
#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "image/store.h"
#include "image/subject.h"

namespace {

constexpr const char* ref_name = "org.opencontainers.image.ref.name";

std::string name_of_entry(const spec::Descriptor& entry) {
    const auto found = entry.annotations.find(ref_name);
    return found == entry.annotations.end() ? "" : found->second;
}

// What speaks of an image, and is none itself: an artifact, or what has the tag "sha256-HEX" or
// "sha256-HEX.sig".
bool is_beside(const spec::Descriptor& entry) {
    if (!entry.artifact_type.empty()) return true;
    const std::string name = name_of_entry(entry);
    return Digest::from_dashed(name.substr(0, name.find('.'))).has_value();
}

std::string required_text(const Files& files, const std::string& path, const std::string& shown) {
    auto text = context(shown, [&] { return read_document(files, path); });
    if (!text) throw Error(shown, " is no image layout: it has no file ", quoted(path));
    return std::move(*text);
}

}  // namespace

LayoutSource::LayoutSource(std::unique_ptr<const Files> files, std::string name, std::string shown)
    : files_(std::move(files)), name_(std::move(name)), shown_(std::move(shown)) {}

spec::Index LayoutSource::index() const {
    required_text(*files_, "oci-layout", shown_);
    const std::string text = required_text(*files_, "index.json", shown_);
    return context(str(shown_, ": index.json"), [&] { return spec::read_index(text); });
}

spec::Descriptor LayoutSource::top() {
    std::vector<spec::Descriptor> found, beside;
    for (const spec::Descriptor& entry : index().manifests)
        if (name_.empty() || name_of_entry(entry) == name_)
            (is_beside(entry) ? beside : found).push_back(entry);
    if (found.empty() || !name_.empty()) found.insert(found.end(), beside.begin(), beside.end());
    if (found.empty() && name_.empty()) throw Error(shown_, " has no image");
    if (found.empty()) throw Error(shown_, " has no image ", quoted(name_));
    const auto is_same = [&](const auto& entry) { return entry.digest == found[0].digest; };
    if (!std::ranges::all_of(found, is_same))
        throw Error(shown_, " has more than one image",
                    name_.empty() ? ": say which, behind a colon" : " of that name");
    found[0].annotations.erase(ref_name);
    return found[0];
}

std::optional<std::string> LayoutSource::document(const spec::Descriptor& descriptor) {
    return read_document(*files_, layout_path(Digest(descriptor.digest)));
}

// Who has written the layout may name them as he likes, or not at all.
std::vector<spec::Descriptor> LayoutSource::referrers(const std::string& digest) {
    if (!by_subject_) {
        by_subject_.emplace();
        for (const spec::Descriptor& entry : index().manifests)
            if (const auto text = document(entry)) by_subject_->emplace(subject_of(*text), entry);
    }
    std::vector<spec::Descriptor> found;
    const auto [begin, end] = by_subject_->equal_range(digest);
    for (auto at = begin; at != end; ++at) found.push_back(at->second);
    for (spec::Descriptor& entry : tagged_referrers(digest)) found.push_back(std::move(entry));
    return found;
}

// As a registry without the API would have them.
std::vector<spec::Descriptor> LayoutSource::tagged_referrers(const std::string& digest) {
    const auto list = tagged(tag_of_referrers(digest));
    if (!list || !spec::is_index(list->media_type)) return {};
    const auto text = document(*list);
    if (!text) return {};
    return context("what refers to " + digest, [&] { return spec::read_index(*text).manifests; });
}

ByteSource LayoutSource::open(const spec::Descriptor& blob) {
    const std::string path = layout_path(Digest(blob.digest));
    if (!is_regular_file(*files_, path)) throw Error(shown_, " lacks blob ", blob.digest);
    return files_->open(path);
}

// The last of them, as a tag means what it was given last.
std::optional<spec::Descriptor> LayoutSource::tagged(const std::string& tag) {
    std::optional<spec::Descriptor> found;
    for (spec::Descriptor& entry : index().manifests)
        if (name_of_entry(entry) == tag) found = std::move(entry);
    return found;
}

std::string layout_path(const Digest& digest) {
    return str("blobs/", digest.algorithm(), "/", digest.hex());
}

// --- a directory that is written

LayoutSink::LayoutSink(std::string directory, std::string name)
    : directory_(std::move(directory)), name_(std::move(name)),
      is_new_(!sys::exists(directory_ + "/oci-layout")) {
    if (is_new_ && !names_in_if_exists(directory_).empty())
        throw Error(quoted(directory_),
                    " is no image layout, and holds other files: a layout is made in a new or an "
                    "empty directory");
    for (const char* below : {"", "/blobs", "/blobs/sha256"}) {
        if (sys::exists(directory_ + below)) continue;
        sys::make_directories(directory_ + below, 0755);
        made_.push_back(directory_ + below);
    }
    in_use_ = sys::open(directory_, O_RDONLY | O_DIRECTORY);
    check(::flock(in_use_.get(), LOCK_SH), "locking ", quoted(directory_));
}

LayoutSink::~LayoutSink() {
    if (is_finished_ || ::flock(in_use_.get(), LOCK_EX | LOCK_NB) < 0) return;
    for (const std::string& blob : put_) ::unlink(blob.c_str());
    for (const std::string& directory : std::views::reverse(made_)) ::rmdir(directory.c_str());
}

std::string LayoutSink::path_of(const Digest& digest) const {
    return directory_ + "/" + layout_path(digest);
}

bool LayoutSink::has(const spec::Descriptor& blob) {
    const Digest digest(blob.digest);
    const DirectoryFiles files(directory_);
    const auto there = files.find(layout_path(digest));
    if (!there || there->kind != Files::File::Kind::regular || there->size != blob.size)
        return false;
    Hasher hasher(digest.algorithm());
    const ByteSource bytes = files.open(layout_path(digest));
    for (std::string_view piece = bytes(); !piece.empty(); piece = bytes()) hasher.update(piece);
    return hasher.finish() == digest;
}

void LayoutSink::put(const spec::Descriptor& blob, const BytesFrom& bytes) {
    write(blob, bytes(0));
}

void LayoutSink::write(const spec::Descriptor& blob, const ByteSource& bytes) {
    const Digest digest(blob.digest);
    const std::string path = path_of(digest), aside = name_aside(path);
    sys::make_directories(path.substr(0, path.rfind('/')), 0755);
    const UniqueFd file = sys::open(aside, O_WRONLY | O_CREAT | O_EXCL, 0644);
    Defer remove([&] { ::unlink(aside.c_str()); });
    for (std::string_view piece = bytes(); !piece.empty(); piece = bytes())
        context(path, [&] { sys::write_all(file.get(), piece); });
    sys::fsync(file.get());
    sys::rename(aside, path);
    remove.keep();
    sys::fsync_directory(path.substr(0, path.rfind('/')));
    const std::lock_guard one_thread(mutex_);
    put_.push_back(path);
}

void LayoutSink::put_document(const spec::Descriptor& descriptor, const std::string& text) {
    if (has(descriptor)) return;
    write(descriptor, bytes_of(text));
}

// An entry of that name goes; without a name, one for the same document.
void LayoutSink::finish(const spec::Descriptor& top) {
    const UniqueFd lock = sys::open(directory_ + "/blobs", O_RDONLY | O_DIRECTORY);
    check(::flock(lock.get(), LOCK_EX), "locking ", quoted(directory_));
    const std::string path = directory_ + "/index.json";
    spec::Index index{.media_type = std::string(spec::media::index)};
    if (const auto text = read_file_if_exists(path, most_document))
        index = context(path, [&] { return spec::read_index(*text); });
    std::erase_if(index.manifests, [&](const spec::Descriptor& entry) {
        return name_of_entry(entry) == name_ && (!name_.empty() || entry.digest == top.digest);
    });
    index.manifests.push_back(named_entry(top, name_));
    replace_file(path, spec::write(index) + "\n", 0644);
    if (is_new_) replace_file(directory_ + "/oci-layout", layout_text, 0644);
    is_finished_ = true;
}

spec::Descriptor named_entry(spec::Descriptor descriptor, const std::string& name) {
    descriptor.annotations.erase(ref_name);
    if (!name.empty()) descriptor.annotations[ref_name] = name;
    return descriptor;
}
