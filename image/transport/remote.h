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
    spec::Descriptor top() override { return top_.descriptor; }
    std::optional<std::string> document(const spec::Descriptor& descriptor) override;
    ByteSource open(const spec::Descriptor& blob) override;

private:
    std::unique_ptr<Repository> repository_;
    Repository::Document top_;
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
