// What is hard: the same image goes to several places, each of which has layers in a form of its
// own, and none may be left half written: archives appear when they are whole. A directory is the
// exception, as it is BuildKit's: the tree is put into what is there, by the code that applies
// layers, so that no link that lies there leads out of it.
#include "builder/output/output.h"

#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/output_file.h"
#include "base/sys.h"
#include "image/copy.h"
#include "image/files.h"
#include "image/layer/apply.h"
#include "image/layer/diff.h"
#include "image/platform.h"
#include "image/push.h"
#include "image/snapshots.h"
#include "image/transport/archive.h"
#include "image/transport/layout.h"
#include "image/transport/stored.h"

namespace {

using Say = std::function<void(const std::string& line)>;

// --- the tree

void write_tree(const Store& store, const Image& image, int to) {
    const std::vector<Digest> layers = image.diff_ids();
    const WorkDir work = store.work_dir("output");
    const std::string root = work.path() + "/root";
    sys::mkdir(root, 0755);
    std::optional<Mounted> mounted;
    Snapshots(store).unpack(image);
    if (!layers.empty())
        mounted.emplace(Snapshots(store),
                        Snapshot{.layers = layers, .upper = {}, .work = {}, .target = root});
    write_layer(root, [&](std::string_view data) {
        context("writing the tree", [&] { sys::write_all(to, data); });
    });
}

// As the caller's files: an ordinary user is to have them.
void write_directory(const Store& store, const Image& image, const std::string& directory) {
    const UniqueFd tree = nameless_file();
    write_tree(store, image, tree.get());
    check(::lseek(tree.get(), 0, SEEK_SET), "lseek");
    sys::make_directories(directory, 0755);
    context(directory, [&] {
        apply_layer(tree.get(), directory,
                    {.whiteouts = false, .owner = {{::geteuid(), ::getegid()}}});
    });
}

// --- the image

// What keg builds is kept as plain tars: others expect gzip where nothing else was said.
CopyOptions options_for(const Built& built, const BuildOutput& output) {
    CopyOptions options{.all = built.images.size() > 1, .compression = output.compression};
    const auto is_plain = [](const spec::Descriptor& layer) {
        return spec::oci_media_type(layer.media_type) == spec::media::layer;
    };
    const bool has_plain = std::ranges::any_of(built.images, [&](const Image& image) {
        return std::ranges::any_of(image.manifest.layers, is_plain);
    });
    if (!options.compression && has_plain && output.kind == BuildOutput::Kind::oci)
        options.compression = Compression{};
    return options;
}

void write_archive(const Store& store, const Built& built, const BuildOutput& output) {
    const auto format =
        output.kind == BuildOutput::Kind::docker ? ArchiveFormat::docker : ArchiveFormat::oci;
    OutputFile(output.destination).write([&](int fd) {
        StoreSource source(store, built.top);
        ArchiveSink sink(format, fd);
        sink.call(output.names);
        copy_image(source, sink, options_for(built, output));
        sink.close();
    });
}

void write_layout(const Store& store, const Built& built, const BuildOutput& output) {
    std::vector<std::string> names;
    for (const Reference& name : output.names) names.push_back(name.tag);
    if (names.empty()) names.emplace_back();
    for (const std::string& name : names) {
        StoreSource source(store, built.top);
        LayoutSink sink(output.destination, name);
        copy_image(source, sink, options_for(built, output));
    }
}

// By their names in the store, of one repository after the other.
void push_names(const Store& store, const BuildOutput& output, const Say& say) {
    std::map<std::string, std::pair<Reference, std::vector<std::string>>> repositories;
    for (const Reference& name : output.names) {
        auto& [repository, tags] =
            repositories.try_emplace(name.repository(), name, std::vector<std::string>())
                .first->second;
        tags.push_back(name.tag);
    }
    for (const auto& [shown, entry] : repositories)
        push(store, entry.first, entry.second, {.compression = output.compression},
             [&](const Pushed& pushed) {
                 say(str("pushing ", shown, ":", pushed.tag, "@", pushed.manifest.digest, " done"));
             });
}

// Of several each in a directory that its platform names.
void write_directories(const Store& store, const Built& built, const std::string& place) {
    if (built.images.size() == 1) return write_directory(store, built.images[0], place);
    for (const Image& image : built.images) {
        const spec::Platform platform = platform_of(image.config);
        write_directory(store, image,
                        str(place, "/", platform.os, "_", platform.architecture,
                            platform.variant.empty() ? "" : "_", platform.variant));
    }
}

void write_one(const Store& store, const Built& built, const BuildOutput& output, const Say& say) {
    const std::string place = output.destination.empty() ? "standard output" : output.destination;
    switch (output.kind) {
        case BuildOutput::Kind::cacheonly:
        case BuildOutput::Kind::image: return;
        case BuildOutput::Kind::registry: return push_names(store, output, say);
        case BuildOutput::Kind::local:
            write_directories(store, built, output.destination);
            return say(str("copying files to ", place, " done"));
        case BuildOutput::Kind::tar:
            if (built.images.size() > 1)
                throw Error("type=tar holds one platform; type=local has a directory for each");
            OutputFile(output.destination).write([&](int fd) {
                write_tree(store, built.images[0], fd);
            });
            return say(str("sending tarball to ", place, " done"));
        case BuildOutput::Kind::oci:
        case BuildOutput::Kind::docker:
            output.is_directory ? write_layout(store, built, output)
                                : write_archive(store, built, output);
            return say(str("exporting to ", place, " done"));
    }
}

// --- what is said of it

json::Value metadata_of(const Built& built, const std::vector<Reference>& names) {
    json::Value about = {{"mediaType", built.top.media_type},
                         {"digest", built.top.digest},
                         {"size", built.top.size}};
    json::Value out = {{"containerimage.digest", built.top.digest}};
    if (built.images.size() == 1) {
        const Image& image = built.images[0];
        const spec::Platform platform = platform_of(image.config);
        if (!image.manifest.annotations.empty()) about["annotations"] = image.manifest.annotations;
        about["platform"] = {{"architecture", platform.architecture}, {"os", platform.os}};
        if (!platform.variant.empty()) about["platform"]["variant"] = platform.variant;
        out["containerimage.config.digest"] = image.id().text();
    }
    out["containerimage.descriptor"] = about;
    std::vector<std::string> shown;
    for (const Reference& name : names) shown.push_back(name.canonical());
    if (!shown.empty()) out["image.name"] = join(shown, ",");
    return out;
}

}  // namespace

Image with_annotations(const Store& store, Image image,
                       const std::map<std::string, std::string>& annotations) {
    if (annotations.empty()) return image;
    for (const auto& [key, value] : annotations) image.manifest.annotations[key] = value;
    image.descriptor = store.put_blob(spec::write(image.manifest), image.descriptor.media_type);
    return image;
}

void write_outputs(const Store& store, const Built& built, const Outputs& outputs,
                   const std::function<void(const std::string& line)>& say) {
    for (const BuildOutput& output : outputs.all)
        context(output.destination.empty() ? "writing the output" : output.destination,
                [&] { write_one(store, built, output, say); });
    if (!outputs.id_file.empty()) write_file(outputs.id_file, built.id());
    if (!outputs.metadata_file.empty())
        replace_file(outputs.metadata_file,
                     json::dump(metadata_of(built, outputs.names()), indent_tabs) + "\n");
}
