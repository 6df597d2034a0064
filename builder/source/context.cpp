// What is hard: what is typed may be any of five things, and what comes by a pipe or from a server
// one of two, a tree or a Dockerfile alone; its name says nothing. So it is spooled and looked at.
// A tar is unpacked by the code that applies layers, which no entry leads out of its directory.
#include "builder/source/context.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "base/sys.h"
#include "builder/source/fetch.h"
#include "builder/source/git.h"
#include "image/copy.h"
#include "image/files.h"
#include "image/layer/apply.h"
#include "image/snapshots.h"
#include "image/transport/layout.h"
#include "image/transport/stored.h"
#include "image/trust/judge.h"

namespace {

constexpr size_t most_dockerfile_alone = size_t(16) << 20;
constexpr std::string_view image_prefix = "docker-image://", layout_prefix = "oci-layout://";

bool is_local_directory(const std::string& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// By its first header: older tars have no magic number, but all have a sum of its bytes.
bool begins_as_tar(std::string_view block) {
    constexpr size_t size = 512, sum_at = 148, sum_size = 8;
    if (block.size() < size) return false;
    block = block.substr(0, size);
    if (block.find_first_not_of('\0') == std::string_view::npos) return true;  // an empty one
    const std::string_view digits = block.substr(sum_at, sum_size);
    const std::string_view number =
        trim(digits.substr(0, std::min(digits.find('\0'), digits.size())));
    unsigned sum = sum_size * ' ';
    for (size_t i = 0; i < size; ++i)
        if (i < sum_at || i >= sum_at + sum_size) sum += static_cast<unsigned char>(block[i]);
    return parse_number<unsigned>(number, 8) == sum;
}

bool holds_tree(int file) {
    char start[512];
    const ssize_t size = check(::pread(file, start, sizeof start, 0), "reading the context");
    const std::string_view head(start, size_t(size));
    return !compression_of(head).empty() || begins_as_tar(head);
}

BuildContext work_for(const Store& store) {
    WorkDir work = store.work_dir("context");
    BuildContext out{.directory = work.path() + "/tree", .is_remote = true};
    sys::mkdir(out.directory, 0755);
    out.work.emplace(std::move(work));
    return out;
}

// From the beginning of that file.
void take_file(BuildContext& context, int file) {
    check(::lseek(file, 0, SEEK_SET), "lseek");
    if (holds_tree(file))
        apply_layer(file, context.directory,
                    {.whiteouts = false, .owner = {{::geteuid(), ::getegid()}}});
    else
        context.dockerfile = sys::read_all(file, most_dockerfile_alone);
}

BuildContext from_stdin(const Store& store, int in) {
    if (::isatty(in))
        throw Error("unable to prepare context: standard input is a terminal, not a context");
    BuildContext out = work_for(store);
    const UniqueFd file = nameless_file();
    Hasher hasher;
    const ByteSource bytes = bytes_of(in);
    for (std::string_view piece = bytes(); !piece.empty(); piece = bytes()) {
        hasher.update(piece);
        sys::write_all(file.get(), piece);
    }
    out.key = hasher.finish();
    context("the context on standard input", [&] { take_file(out, file.get()); });
    return out;
}

BuildContext from_web(const Store& store, const std::string& url) {
    BuildContext out = work_for(store);
    const FetchedFile fetched = fetch_file(url, out.work->path());
    out.key = fetched.digest;
    context(url, [&] { take_file(out, sys::open(fetched.path, O_RDONLY).get()); });
    sys::unlink(fetched.path);
    return out;
}

BuildContext from_git(const Store& store, const GitSource& source, const std::string& agent) {
    BuildContext out = work_for(store);
    const FetchedTree fetched = fetch_git(source, out.directory, agent);
    out.directory = fetched.path, out.key = fetched.key;
    return out;
}

// --- an image of a layout

class LayoutImage : public LayoutSource {
public:
    LayoutImage(const std::string& directory, const std::string& tag, std::string digest)
        : LayoutSource(std::make_unique<DirectoryFiles>(directory), tag, directory),
          directory_(directory), digest_(std::move(digest)) {}
    // By its digest it need not be in index.json; what it is, it says itself.
    spec::Descriptor top() override {
        if (digest_.empty()) return LayoutSource::top();
        const auto text = document({.digest = digest_});
        if (!text) throw Error(directory_, " has no image ", digest_);
        const json::Value value = context(digest_, [&] { return json::parse(*text); });
        const bool is_index = value.is_object() && value.contains("manifests");
        const auto type =
            is_index ? spec::read_index(*text).media_type : spec::read_manifest(*text).media_type;
        const std::string_view fallback = is_index ? spec::media::index : spec::media::manifest;
        return {.media_type = type.empty() ? std::string(fallback) : type,
                .digest = digest_,
                .size = int64_t(text->size())};
    }

private:
    std::string directory_, digest_;
};

// An image that has no name, and nobody sees: it is held by the caller's lease.
class LeasedSink : public StoreSink {
public:
    LeasedSink(const Store& store, const std::string& platform)
        : StoreSink(store, {}, platform), platform_(platform) {}
    void finish(const spec::Descriptor& top) override {
        Snapshots(store_).unpack(store_.load(top, platform_), Snapshots::Trust::nothing);
        store_.settle();
    }

private:
    std::string platform_;
};

struct LayoutPlace {
    std::string directory, tag, digest;
};

LayoutPlace parse_layout(const std::string& typed) {
    LayoutPlace place{.directory = typed.substr(0, typed.find('@')), .tag = {}, .digest = {}};
    if (place.directory.size() < typed.size())
        place.digest = Digest(typed.substr(place.directory.size() + 1)).text();
    const size_t colon = place.directory.find(':', place.directory.rfind('/') + 1);
    if (colon == std::string::npos) return place;
    place.tag = place.directory.substr(colon + 1);
    place.directory.resize(colon);
    return place;
}

// Without a tag it is the only one there, or the latest.
std::string tag_in(const LayoutPlace& place) {
    if (!place.tag.empty() || !place.digest.empty()) return place.tag;
    return LayoutImage(place.directory, "", "").tagged("latest") ? "latest" : "";
}

}  // namespace

void check_context(const std::string& typed) {
    if (typed == "-" || is_local_directory(typed) || parse_git_source(typed) || is_web_url(typed))
        return;
    throw Error("unable to prepare context: path ", quoted(typed), " not found",
                sys::exists(typed) ? ": expected a directory" : "");
}

BuildContext open_context(const Store& store, const std::string& typed, int in,
                          const std::string& agent) {
    check_context(typed);
    if (typed == "-") return from_stdin(store, in);
    if (is_local_directory(typed)) return {.directory = typed};
    if (const auto repository = parse_git_source(typed)) return from_git(store, *repository, agent);
    return from_web(store, typed);
}

BuildContext fetch_all(const Store& store, const std::vector<RemoteSource>& sources,
                       const std::string& agent) {
    BuildContext out = work_for(store);
    for (size_t i = 0; i < sources.size(); ++i) {
        const std::string place = str(out.directory, "/", i);
        sys::mkdir(place, 0755);
        fetch_remote_source(sources[i], place, agent);
    }
    return out;
}

std::string context_name(const std::string& typed) {
    const auto reference = reference_of(typed);
    if (!reference) return typed;
    std::string name = reference->familiar();
    if (name.ends_with(":latest")) name.resize(name.size() - 7);
    return name;
}

NamedContext parse_named_context(const std::string& typed) {
    const size_t equals = typed.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == typed.size())
        throw Error("invalid context value: ", typed, ", expected key=value");
    const std::string name = context_name(typed.substr(0, equals));
    std::string value = typed.substr(equals + 1);
    using enum NamedContext::Kind;
    if (value.starts_with(image_prefix)) {
        value.erase(0, image_prefix.size());
        parse_reference(value);
        return {image, name, value};
    }
    if (value.starts_with(layout_prefix)) {
        value.erase(0, layout_prefix.size());
        if (!is_local_directory(parse_layout(value).directory))
            throw Error("failed to get build context ", name, ": ", quoted(value),
                        " is no directory with an image layout");
        return {layout, name, value};
    }
    if (value == "-") throw Error("the context ", name, " cannot be standard input");
    context("failed to get build context " + name, [&] { check_context(value); });
    return {tree, name, value};
}

Image image_of_layout(const Store& store, const std::string& place, const std::string& platform,
                      const TrustPolicy& trust) {
    const LayoutPlace where = parse_layout(place);
    return context(str(layout_prefix, place), [&] {
        LayoutImage source(where.directory, tag_in(where), where.digest);
        LeasedSink sink(store, platform);
        const Origin origin = Origin::file("oci", where.directory, str(layout_prefix, place));
        const spec::Descriptor top = copy_image(
            source, sink,
            {.platform = platform, .accept = acceptance(trust, source, origin, keep_in(store))});
        return store.load(top, platform);
    });
}
