// One directory, one image: it is made aside and takes its place when it is whole, so that nobody
// finds half of it, nor what is left of another. The manifest's media type stands nowhere but in
// the manifest itself, if it says it.
#include "image/transport/directory.h"

#include <stdio.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"

namespace {

constexpr std::string_view version = "Directory Transport Version: 1.1\n";

constexpr std::string_view sigstore_mark{"\0sigstore-json\n", 15};
constexpr size_t most_signatures = 100;

// Behind that mark. What has none is an OpenPGP signature.
struct SigstoreFile {
    std::string media_type, payload;
    std::map<std::string, std::string> annotations;
};

}  // namespace

template <>
inline constexpr auto json::fields<SigstoreFile> =
    std::tuple(json::required("mimeType", &SigstoreFile::media_type),
               json::required("payload", &SigstoreFile::payload),
               json::optional("annotations", &SigstoreFile::annotations));

namespace {

std::string hex_of(const spec::Descriptor& descriptor) { return Digest(descriptor.digest).hex(); }

// What a document is that does not say it: an index has "manifests".
std::string media_type_of(const std::string& text) {
    const json::Value document = json::parse(text);
    if (!document.is_object()) throw Error("expected an object");
    const auto said = document.find("mediaType");
    if (said != document.end() && said->is_string()) return said->get<std::string>();
    return std::string(document.contains("manifests") ? spec::media::index : spec::media::manifest);
}

// As a registry's manifest of signatures names it.
spec::Descriptor sigstore_layer(std::string_view text) {
    if (!text.starts_with(sigstore_mark))
        throw Error("an OpenPGP signature, which keg cannot verify");
    const auto file = json::read<SigstoreFile>(json::parse(text.substr(sigstore_mark.size())));
    const auto payload = decode_base64(file.payload);
    if (!payload || file.media_type.empty())
        throw Error("it has no payload in base64, or none that says what it is");
    return {.media_type = file.media_type,
            .digest = digest_of(*payload).text(),
            .size = int64_t(payload->size()),
            .annotations = file.annotations,
            .data = file.payload};
}

spec::Descriptor no_config() {
    return {.media_type = "application/vnd.oci.empty.v1+json",
            .digest = digest_of("{}").text(),
            .size = 2};
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

std::optional<spec::Descriptor> DirectorySource::tagged(const std::string& tag) {
    constexpr std::string_view suffix = ".sig";
    if (!tag.ends_with(suffix)) return {};
    const auto image = Digest::from_dashed(tag.substr(0, tag.size() - suffix.size()));
    return image ? signatures_of(*image) : std::nullopt;
}

// As if they lay in a registry, in a manifest with what it names inside of it.
std::optional<spec::Descriptor> DirectorySource::signatures_of(const Digest& image) {
    const auto top = read_document(files_, "manifest.json");
    const bool is_top = top && digest_of(*top, image.algorithm()) == image;
    const std::string prefix = (is_top ? "" : image.hex() + "-") + "signature-";
    spec::Manifest manifest{.media_type = std::string(spec::media::manifest),
                            .config = no_config()};
    std::string problem;  // of one that is none for us: another may be good
    for (size_t i = 1; i <= most_signatures; ++i) {
        const std::string name = str(prefix, i);
        const auto text = read_document(files_, name);
        if (!text) break;
        try {
            manifest.layers.push_back(sigstore_layer(*text));
        } catch (const Error& e) {
            problem = str(directory_, "/", name, ": ", e.what());
        }
    }
    if (manifest.layers.empty() && !problem.empty()) throw Error(problem);
    if (manifest.layers.empty()) return {};
    const std::string text = spec::write(manifest);
    return spec::Descriptor{.media_type = manifest.media_type,
                            .digest = digest_of(text).text(),
                            .size = int64_t(text.size()),
                            .data = encode_base64(text)};
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
