// Archives of images: an image layout in a tar (oci-archive), and docker's with its manifest.json.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "image/files.h"
#include "image/layer/tar_writer.h"
#include "image/reference.h"
#include "image/transport/docker_items.h"
#include "image/transport/transport.h"

// The files of an archive, compressed or not, from a file or a pipe, which stays the caller's. What
// cannot be read in place is spooled. Throws Error for what is no tar.
std::unique_ptr<const Files> files_of_archive(int fd);

// The image of docker's archive with that name, or "@1", the second; without either there must be
// one image. Its manifest is made up: the layers' digests are what the config says of them, or, of
// compressed ones, counted.
class DockerArchiveSource : public ImageSource {
public:
    DockerArchiveSource(std::unique_ptr<const Files> files, std::string name, std::string shown);
    spec::Descriptor top() override;
    std::optional<std::string> document(const spec::Descriptor& descriptor) override;
    ByteSource open(const spec::Descriptor& blob) override;
    bool is_made_up() const override { return true; }

private:
    std::string follow(std::string path, const char* what) const;
    spec::Descriptor layer(const std::string& path, const std::string& diff_id) const;

    std::unique_ptr<const Files> files_;
    std::string name_, shown_;
    std::string manifest_;
    std::map<std::string, std::string> paths_;  // by digest
};

enum class ArchiveFormat { docker, oci };

// Writes an archive as it comes, so that a pipe will do. Docker's form is a layout as well: what it
// names are the same blobs.
class ArchiveSink : public ImageSink {
public:
    ArchiveSink(ArchiveFormat format, int fd);

    TakenLayers form() const override;
    size_t at_once() const override { return 1; }
    bool has(const spec::Descriptor& blob) override { return written_.contains(blob.digest); }
    void put(const spec::Descriptor& blob, const BytesFrom& bytes) override;
    void put_document(const spec::Descriptor& descriptor, const std::string& text) override;
    // Another image may come after it, whose blobs are written once.
    void finish(const spec::Descriptor& top) override;

    // What the next image is called: whole names, and as the layout has them, which may be one word
    // that is no name.
    void call(std::vector<Reference> names, std::string layout_name = {});
    // The documents that name all images, and the archive's end.
    void close();

private:
    void write(const spec::Descriptor& blob, const ByteSource& bytes);
    void document(const std::string& name, const std::string& text);
    void add_to_index(const spec::Descriptor& top);
    const spec::Manifest* image_of(const std::string& digest) const;
    void add_to_items(const spec::Manifest& manifest);

    ArchiveFormat format_;
    TarWriter tar_;
    std::set<std::string> written_, directories_;
    std::map<std::string, spec::Manifest> manifests_;  // by digest, as are
    std::map<std::string, spec::Index> indexes_;
    std::vector<Reference> names_;
    std::string layout_name_;
    std::vector<spec::Descriptor> index_;
    std::vector<DockerItem> items_;
    std::map<std::string, std::map<std::string, std::string>> repositories_;
};
