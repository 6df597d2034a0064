// docker://: a registry, by the distribution API.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "image/reference.h"
#include "image/registry/repository.h"
#include "image/transport/transport.h"

class RegistrySource : public ImageSource {
public:
    // Asks mirrors before the registry. Throws Docker's words for what is not there.
    explicit RegistrySource(const Reference& name);
    // What was looked up already, in a place that the caller has chosen.
    RegistrySource(std::shared_ptr<Repository> repository, Repository::Document top)
        : repository_(std::move(repository)), top_(std::move(top)) {}
    spec::Descriptor top() override { return top_.descriptor; }
    std::optional<std::string> document(const spec::Descriptor& descriptor) override;
    ByteSource open(const spec::Descriptor& blob) override;
    std::optional<spec::Descriptor> tagged(const std::string& tag) override;
    std::vector<spec::Descriptor> referrers(const Digest& subject) override {
        return repository_->referrers(subject);
    }

private:
    std::shared_ptr<Repository> repository_;
    Repository::Document top_;
    std::optional<Repository::Document> tagged_;  // the last one
};

class RegistrySink : public ImageSink {
public:
    explicit RegistrySink(const Reference& name);
    TakenLayers form() const override { return TakenLayers::compressed_if_made_up; }
    bool has(const spec::Descriptor& blob) override { return repository_.has_blob(blob); }
    void put(const spec::Descriptor& blob, const ByteSource& bytes) override;
    void put_document(const spec::Descriptor& descriptor, const std::string& text) override;
    void finish(const spec::Descriptor& top) override;

private:
    std::string tag_;  // or a digest
    Repository repository_;
    std::optional<Repository::Document> last_;  // which has no name there yet
};
