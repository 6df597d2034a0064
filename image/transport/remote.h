// docker://: a registry, by the distribution API.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "image/reference.h"
#include "image/registry/repository.h"
#include "image/transport/transport.h"

class RegistrySource : public ImageSource {
public:
    // Mirrors are asked before the registry, and whatever one does wrong, the next place is asked.
    // Throws Docker's words for what is not there.
    explicit RegistrySource(const Reference& name);
    // The same of these places alone.
    RegistrySource(const Reference& name, std::vector<Place> places);
    spec::Descriptor top() override { return top_.descriptor; }
    std::optional<std::string> document(const spec::Descriptor& descriptor) override;
    ByteSource open(const spec::Descriptor& blob) override { return open_at(blob, 0); }
    ByteSource open_at(const spec::Descriptor& blob, int64_t begin) override;
    // What speaks of an image need not be where the image was found: it says itself of what it is.
    std::optional<spec::Descriptor> tagged(const std::string& tag) override;
    std::vector<spec::Descriptor> referrers(const Digest& subject) override;
    // Where the image was found.
    const Place& place() const { return places_[found_]->place(); }

private:
    auto ask(auto&& what);
    bool is_last(const Repository& repository) const { return places_.back().get() == &repository; }

    std::vector<std::unique_ptr<Repository>> places_;  // the registry is the last one
    size_t found_ = 0;
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
