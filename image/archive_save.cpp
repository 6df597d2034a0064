// Writing the archive that everybody loads: manifest.json (docker, podman, skopeo) and an OCI
// layout (containerd) over the same blobs. In the docker form layers are plain tars, so that a
// blob's digest is its DiffID; in the oci form they and the manifest are as stored. Names are
// sorted, owners and times are zero: the same image gives the same bytes. The reader may be a pipe,
// so every size is known before its header goes out: compressed layers whose tars are not kept are
// inflated to a work directory first, which also verifies them before anything is written.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/json.h"
#include "base/sys.h"
#include "image/archive.h"
#include "image/layer/decoder.h"
#include "image/layer/tar_writer.h"

namespace {

class ArchiveWriter {
public:
    explicit ArchiveWriter(int fd)
        : tar_([fd](std::string_view data) {
              context("writing the archive", [&] { sys::write_all(fd, data); });
          }) {}

    void directory(const std::string& name) {
        tar_.entry({.type = TarEntry::Type::directory, .name = name, .target = {}, .mode = 0755});
    }
    void document(const std::string& name, std::string_view data) {
        begin_file(name, data.size());
        tar_.data(data);
    }
    // Exactly `size` bytes of that digest, or it throws.
    void file(const std::string& name, int from, uint64_t size, const Digest& digest) {
        begin_file(name, size);
        Hasher hasher(digest.algorithm());
        std::vector<char> buffer(size_t(1) << 20);
        for (uint64_t left = size; left > 0;) {
            const ssize_t got =
                check(::read(from, buffer.data(), std::min<uint64_t>(buffer.size(), left)),
                      "reading blob ", digest.text());
            if (got == 0) throw Error("blob ", digest.text(), " is cut off");
            hasher.update({buffer.data(), size_t(got)});
            tar_.data({buffer.data(), size_t(got)});
            left -= uint64_t(got);
        }
        if (hasher.finish() != digest) throw Error("blob ", digest.text(), " is damaged");
    }
    void finish() { tar_.finish(); }

private:
    void begin_file(const std::string& name, uint64_t size) {
        tar_.entry({.name = name, .target = {}, .mode = 0644, .size = size});
    }

    TarWriter tar_;
};

// --- what goes into the archive

struct Part {          // a file of the archive: one of three sources
    std::string data;  // a document's
    std::string path;  // else a host file
    uint64_t size = 0;
    Digest digest;
};

struct Chosen {
    Image image;
    std::vector<Reference> names;
};

// As typed: a repository without a tag means all its tags, as with docker save.
std::vector<Chosen> choose(const Store& store, const std::vector<std::string>& words) {
    std::vector<Chosen> out;
    const auto add = [&](const NamedImage& named, bool with_name) {
        Image image = store.load(named.descriptor);
        auto at = std::ranges::find(out, image.descriptor.digest, [](const Chosen& chosen) {
            return chosen.image.descriptor.digest;
        });
        if (at == out.end()) at = out.insert(out.end(), {std::move(image), {}});
        if (with_name && named.name && !named.name->tag.empty() &&
            std::ranges::find(at->names, *named.name) == at->names.end())
            at->names.push_back(*named.name);
    };
    for (const std::string& word : words) {
        const NamedImage found = store.get(word);
        if (!found.name || !is_name(word, *found.name)) {
            add(found, false);
            continue;
        }
        add(found, true);
        const Reference typed = parse_reference(word);
        if (word.find('@') != std::string::npos ||
            word.find(':', word.rfind('/') + 1) != std::string::npos)
            continue;
        for (const NamedImage& other : store.images())
            if (other.name && other.name->repository() == typed.repository()) add(other, true);
    }
    return out;
}

// Inflates a compressed layer whose tar is not kept into the work directory and checks that it is
// what the config says.
Part plain_layer(const Store& store, const spec::Descriptor& layer, const Digest& diff_id,
                 const WorkDir& work) {
    if (layer.digest == diff_id.text() || store.has_blob(diff_id)) {
        const std::string path = store.blob_path(diff_id);
        return {.path = path, .size = uint64_t(sys::lstat(path).st_size), .digest = diff_id};
    }
    Part out{.path = work.path() + "/" + diff_id.hex(), .digest = diff_id};
    const UniqueFd from = store.open_blob(Digest(layer.digest));
    const UniqueFd to = sys::open(out.path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const auto plain = make_decoder(bytes_of(from.get()));
    Hasher hasher(diff_id.algorithm());
    for (std::string_view piece = plain->read(); !piece.empty(); piece = plain->read()) {
        hasher.update(piece);
        sys::write_all(to.get(), piece);
        out.size += piece.size();
    }
    if (hasher.finish() != diff_id)
        throw Error("layer ", layer.digest, " does not hold what its image says (", diff_id.text(),
                    ")");
    return out;
}

class Archive {
public:
    Archive(const Store& store, ArchiveFormat format)
        : store_(store), format_(format), work_(store.work_dir("save")) {}

    void add(const Chosen& chosen) {
        const Image& image = chosen.image;
        const auto diff_ids = image.diff_ids();
        if (diff_ids.size() != image.manifest.layers.size())
            throw Error("the image's layers and diff_ids differ in number");
        spec::Manifest plain = image.manifest;
        json::Value layers = json::Value::array();
        for (size_t i = 0; i < diff_ids.size(); ++i) {
            const spec::Descriptor& layer = image.manifest.layers[i];
            const Part part = format_ == ArchiveFormat::docker
                                  ? plain_layer(store_, layer, diff_ids[i], work_)
                                  : Part{.path = store_.blob_path(Digest(layer.digest)),
                                         .size = uint64_t(layer.size),
                                         .digest = Digest(layer.digest)};
            if (format_ == ArchiveFormat::docker)
                plain.layers[i] = {.media_type = std::string(spec::media::layer),
                                   .digest = part.digest.text(),
                                   .size = int64_t(part.size)};
            layers.push_back(add_blob(part));
        }
        const std::string config = add_document(store_.read_blob(image.manifest.config));
        const spec::Descriptor manifest = add_manifest(image, std::move(plain));
        add_to_index(manifest, chosen);
        add_to_items(config, layers, chosen.names);
    }

    void write(int fd) {
        parts_["index.json"] = document(json::dump(
            {{"schemaVersion", 2}, {"mediaType", spec::media::index}, {"manifests", index_}}));
        parts_["oci-layout"] = document(R"({"imageLayoutVersion":"1.0.0"})");
        if (format_ == ArchiveFormat::docker) {
            parts_["manifest.json"] = document(json::dump(items_));
            if (!repositories_.empty())
                parts_["repositories"] = document(json::dump(repositories_));
        }
        ArchiveWriter tar(fd);
        std::set<std::string> directories;
        for (const auto& [name, part] : parts_) {
            for (size_t slash = name.find('/'); slash != std::string::npos;
                 slash = name.find('/', slash + 1))
                if (directories.insert(name.substr(0, slash)).second)
                    tar.directory(name.substr(0, slash + 1));
            if (part.path.empty())
                tar.document(name, part.data);
            else
                tar.file(name, sys::open(part.path, O_RDONLY).get(), part.size, part.digest);
        }
        tar.finish();
    }

private:
    static Part document(std::string data) { return {.data = std::move(data)}; }

    std::string add_blob(const Part& part) {
        const std::string name = "blobs/" + part.digest.algorithm() + "/" + part.digest.hex();
        parts_.try_emplace(name, part);
        return name;
    }
    std::string add_document(std::string data) {
        Part part = document(std::move(data));
        part.digest = digest_of(part.data);
        return add_blob(part);
    }
    // The stored manifest, or, where layers are not as stored, one that says so.
    spec::Descriptor add_manifest(const Image& image, spec::Manifest plain) {
        const bool as_stored = format_ == ArchiveFormat::oci ||
                               (image.descriptor.media_type == spec::media::manifest &&
                                std::ranges::equal(plain.layers, image.manifest.layers, same));
        plain.media_type = spec::media::manifest;
        plain.config = {.media_type = std::string(spec::media::config),
                        .digest = plain.config.digest,
                        .size = plain.config.size};
        const std::string text =
            as_stored ? store_.read_blob(image.descriptor) : spec::write(plain);
        add_document(text);
        return {.media_type =
                    as_stored ? image.descriptor.media_type : std::string(spec::media::manifest),
                .digest = digest_of(text).text(),
                .size = int64_t(text.size())};
    }
    static bool same(const spec::Descriptor& a, const spec::Descriptor& b) {
        return a.digest == b.digest && a.media_type == b.media_type;
    }

    void add_to_index(const spec::Descriptor& manifest, const Chosen& chosen) {
        const json::Value plain = {{"mediaType", manifest.media_type},
                                   {"digest", manifest.digest},
                                   {"size", manifest.size}};
        if (chosen.names.empty()) index_.push_back(plain);
        for (const Reference& name : chosen.names) {
            json::Value entry = plain;
            // Docker writes only the tag there, podman the whole name: each form as its tools have
            // it.
            entry["annotations"] = {{"io.containerd.image.name", name.canonical()},
                                    {"org.opencontainers.image.ref.name",
                                     format_ == ArchiveFormat::oci ? name.canonical() : name.tag}};
            index_.push_back(entry);
        }
    }
    void add_to_items(const std::string& config, const json::Value& layers,
                      const std::vector<Reference>& names) {
        json::Value tags = json::Value::array();
        for (const Reference& name : names) {
            tags.push_back(name.familiar_repository() + ":" + name.tag);
            if (!layers.empty()) {
                const std::string last = layers.back().get<std::string>();
                repositories_[name.familiar_repository()][name.tag] =
                    last.substr(last.rfind('/') + 1);
            }
        }
        items_.push_back({{"Config", config}, {"RepoTags", tags}, {"Layers", layers}});
    }

    const Store& store_;
    ArchiveFormat format_;
    WorkDir work_;
    std::map<std::string, Part> parts_;
    json::Value index_ = json::Value::array(), items_ = json::Value::array(),
                repositories_ = json::Value::object();
};

}  // namespace

void save_archive(const Store& store, const std::vector<std::string>& names, ArchiveFormat format,
                  int fd) {
    const Lease lease = store.use();
    Archive archive(store, format);
    for (const Chosen& chosen : choose(store, names)) archive.add(chosen);
    archive.write(fd);
}
