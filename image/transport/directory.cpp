// One directory, one image: it is made aside and takes its place when it is whole, so that nobody
// finds half of it, nor what is left of another. The manifest's media type stands nowhere but in
// the manifest itself, if it says it.
#include "image/transport/directory.h"

#include <stdio.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"

namespace {

constexpr std::string_view version = "Directory Transport Version: 1.1\n";

std::string hex_of(const spec::Descriptor& descriptor) { return Digest(descriptor.digest).hex(); }

// What a document is that does not say it: an index has "manifests".
std::string media_type_of(const std::string& text) {
    const json::Value document = json::parse(text);
    if (!document.is_object()) throw Error("expected an object");
    const auto said = document.find("mediaType");
    if (said != document.end() && said->is_string()) return said->get<std::string>();
    return std::string(document.contains("manifests") ? spec::media::index : spec::media::manifest);
}

}  // namespace

DirectorySource::DirectorySource(std::string directory)
    : directory_(std::move(directory)), files_(directory_) {}

spec::Descriptor DirectorySource::top() {
    const auto text = read_document(files_, "manifest.json");
    if (!text) throw Error(directory_, " holds no image: it has no file \"manifest.json\"");
    return {.media_type =
                context(directory_ + "/manifest.json", [&] { return media_type_of(*text); }),
            .digest = digest_of(*text).text(),
            .size = int64_t(text->size())};
}

std::optional<std::string> DirectorySource::document(const spec::Descriptor& descriptor) {
    // A config has its digest as any blob.
    if (auto text = read_document(files_, hex_of(descriptor) + ".manifest.json")) return text;
    if (auto text = read_document(files_, hex_of(descriptor))) return text;
    auto top = read_document(files_, "manifest.json");
    return top && digest_of(*top).text() == descriptor.digest ? top : std::nullopt;
}

ByteSource DirectorySource::open(const spec::Descriptor& blob) {
    if (!is_regular_file(files_, hex_of(blob)))
        throw Error(directory_, " lacks blob ", blob.digest);
    return files_.open(hex_of(blob));
}

DirectorySink::DirectorySink(std::string directory) : directory_(std::move(directory)) {
    while (directory_.size() > 1 && directory_.back() == '/') directory_.pop_back();
    const auto known = read_file_if_exists(directory_ + "/version", 4096);
    const bool is_image = known && known->starts_with("Directory Transport Version: ");
    if (!is_image && !names_in_if_exists(directory_).empty())
        throw Error(quoted(directory_), " holds other files, and no image that may be replaced");
    aside_ = name_aside(directory_);
    sys::make_directories(aside_, 0755);
}

DirectorySink::~DirectorySink() {
    if (!aside_.empty()) attempt("removing " + aside_, [&] { sys::remove_tree(aside_); });
}

void DirectorySink::put(const spec::Descriptor& blob, const BytesFrom& bytes_from) {
    const std::string path = aside_ + "/" + hex_of(blob);
    const UniqueFd file = sys::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const ByteSource bytes = bytes_from(0);
    for (std::string_view piece = bytes(); !piece.empty(); piece = bytes())
        context(path, [&] { sys::write_all(file.get(), piece); });
    sys::fsync(file.get());
}

void DirectorySink::put_document(const spec::Descriptor& descriptor, const std::string& text) {
    replace_file(aside_ + "/" + hex_of(descriptor) + ".manifest.json", text);
}

void DirectorySink::finish(const spec::Descriptor& top) {
    sys::rename(aside_ + "/" + hex_of(top) + ".manifest.json", aside_ + "/manifest.json");
    replace_file(aside_ + "/version", version);
    sys::fsync_directory(aside_);
    if (sys::exists(directory_)) {
        check(::renameat2(AT_FDCWD, aside_.c_str(), AT_FDCWD, directory_.c_str(), RENAME_EXCHANGE),
              "replacing ", quoted(directory_));
        sys::remove_tree(aside_);
    } else {
        sys::rename(aside_, directory_);
    }
    aside_.clear();
}
