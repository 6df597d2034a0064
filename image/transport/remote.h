// docker://: a registry, by the distribution API.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "image/reference.h"
#include "image/registry/mirrored.h"
#include "image/transport/transport.h"

class RegistrySource : public ImageSource {
public:
    // Mirrors are asked before the registry, and whatever one does wrong, the next place is asked.
    // Throws Docker's words for what is not there.
    explicit RegistrySource(const Reference& name)
        : RegistrySource(name, Hosts::load().to_pull(name)) {}
    // In these places and no others.
    RegistrySource(const Reference& name, std::vector<Place> places);
    spec::Descriptor top() override { return top_.descriptor; }
    std::optional<std::string> document(const spec::Descriptor& descriptor) override;
    bool is_far() const override { return true; }
    ByteSource open(const spec::Descriptor& blob) override { return open_at(blob, 0); }
    ByteSource open_at(const spec::Descriptor& blob, int64_t begin) override;
    // Where the image was found.
    const Place& place() const { return places_.first(); }
    std::optional<spec::Descriptor> tagged(const std::string& tag) override;
    // Of the first place that has any; only the registry itself can say that there are none.
    std::vector<spec::Descriptor> referrers(const std::string& digest) override;

private:
    Mirrored places_;
    Repository::Document top_;
    std::optional<Repository::Document> tagged_;  // the last one
};

class RegistrySink : public ImageSink {
public:
    explicit RegistrySink(const Reference& name);
    TakenLayers form() const override { return TakenLayers::compressed_if_made_up; }
    bool has(const spec::Descriptor& blob) override { return repository_.has_blob(blob); }
    void put(const spec::Descriptor& blob, const BytesFrom& bytes) override;
    void put_document(const spec::Descriptor& descriptor, const std::string& text) override;
    void finish(const spec::Descriptor& top) override;

private:
    std::string tag_;  // or a digest
    Repository repository_;
    std::optional<Repository::Document> last_;  // which has no name there yet
};
