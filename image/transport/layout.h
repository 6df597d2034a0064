// An image layout (image-spec image-layout.md): a directory, or a tar of one.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "image/files.h"
#include "image/transport/transport.h"

// Where a blob is in a layout: "blobs/sha256/HEX".
std::string layout_path(const Digest& digest);
// What the file oci-layout says.
inline constexpr std::string_view layout_text = R"({"imageLayoutVersion":"1.0.0"})";

// The image of that name, as its annotation has it; without one there must be one image, beside
// what has an artifactType. `shown` is the layout for errors.
class LayoutSource : public ImageSource {
public:
    LayoutSource(std::unique_ptr<const Files> files, std::string name, std::string shown);
    spec::Descriptor top() override;
    std::optional<std::string> document(const spec::Descriptor& descriptor) override;
    ByteSource open(const spec::Descriptor& blob) override;
    std::optional<spec::Descriptor> tagged(const std::string& tag) override;
    // By the tag that stands for them, and those that index.json lists.
    std::vector<spec::Descriptor> referrers(const std::string& digest) override;

private:
    spec::Index index() const;
    std::unique_ptr<const Files> files_;
    std::string name_, shown_;
    std::optional<std::multimap<std::string, spec::Descriptor>> by_subject_;
};

// A directory that is a layout, or is made one. What it names otherwise stays.
class LayoutSink : public ImageSink {
public:
    // Throws Error if the directory holds something else.
    LayoutSink(std::string directory, std::string name);
    TakenLayers form() const override { return TakenLayers::compressed_if_made_up; }
    ~LayoutSink() override;  // of a layout that is not finished nothing stays that was not there
    bool has(const spec::Descriptor& blob) override;
    void put(const spec::Descriptor& blob, const BytesFrom& bytes) override;
    void put_document(const spec::Descriptor& descriptor, const std::string& text) override;
    void finish(const spec::Descriptor& top) override;

private:
    void write(const spec::Descriptor& blob, const ByteSource& bytes);
    std::string path_of(const Digest& digest) const;
    std::string directory_, name_;
    bool is_new_, is_finished_ = false;
    UniqueFd in_use_;  // locked, shared: what we put may be what another one found
    std::mutex mutex_;
    std::vector<std::string> put_, made_;  // blobs; directories, the innermost last
};

// An entry of an index.json with that name, which may be "".
spec::Descriptor named_entry(spec::Descriptor descriptor, const std::string& name);
