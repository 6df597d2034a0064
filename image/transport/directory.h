// "dir:", as skopeo writes it: a directory with one image as plain files, manifest.json, its blobs
// by their hex digests, and the manifests of an index as HEX.manifest.json.
#pragma once

#include "image/files.h"
#include "image/transport/transport.h"

class DirectorySource : public ImageSource {
public:
    explicit DirectorySource(std::string directory);
    spec::Descriptor top() override;
    std::optional<std::string> document(const spec::Descriptor& descriptor) override;
    ByteSource open(const spec::Descriptor& blob) override;
    // Its signatures are files, as skopeo writes them: what is given are those of sigstore. Throws
    // Error if there are only others.
    std::optional<spec::Descriptor> tagged(const std::string& tag) override;

private:
    std::optional<spec::Descriptor> signatures_of(const Digest& image);
    std::string directory_;
    DirectoryFiles files_;
};

// What was there goes, if it was such an image; anything else is refused.
class DirectorySink : public ImageSink {
public:
    explicit DirectorySink(std::string directory);
    ~DirectorySink() override;
    bool has(const spec::Descriptor& /*blob*/) override { return false; }
    void put(const spec::Descriptor& blob, const BytesFrom& bytes) override;
    void put_document(const spec::Descriptor& descriptor, const std::string& text) override;
    void finish(const spec::Descriptor& top) override;

private:
    std::string directory_, aside_;  // where it is made
};
