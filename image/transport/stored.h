// The store as a place (image/store.h).
#pragma once

#include <mutex>

#include "image/store.h"
#include "image/transport/transport.h"

class StoreSource : public ImageSource {
public:
    // The image as it is named there; what is read is held by the store's lease, which the caller
    // has.
    StoreSource(const Store& store, spec::Descriptor top) : store_(store), top_(std::move(top)) {}
    spec::Descriptor top() override { return top_; }
    std::optional<std::string> document(const spec::Descriptor& descriptor) override;
    ByteSource open(const spec::Descriptor& blob) override;
    std::optional<spec::Descriptor> plain(const Digest& diff_id) override;

private:
    const Store& store_;
    spec::Descriptor top_;
};

class StoreSink : public ImageSink {
public:
    // Without a name it becomes a dangling image. `platform` is that of an index's image which is
    // made ready to be run; much of that is done while others of its layers come.
    StoreSink(const Store& store, std::optional<Reference> name, std::string platform = {})
        : store_(store), lease_(store.use()), name_(std::move(name)),
          platform_(std::move(platform)) {}
    bool keeps_index() const override { return true; }
    void expect(const spec::Manifest& image) override;
    bool has(const spec::Descriptor& blob) override { return store_.is_intact(blob); }
    // What an earlier command has got of a blob need not come again, nor what another one gets
    // meanwhile.
    void put(const spec::Descriptor& blob, const BytesFrom& bytes) override;
    bool compares_digests() const override { return true; }
    void put_document(const spec::Descriptor& descriptor, const std::string& text) override;
    void finish(const spec::Descriptor& top) override;

private:
    void prepare(const spec::Descriptor& layer);
    std::vector<Digest> expected_diff_ids();

    const Store& store_;
    const Lease lease_;
    std::optional<Reference> name_;
    std::string platform_;
    std::optional<spec::Manifest> expected_;
    std::mutex mutex_;
    std::optional<spec::ImageConfig> config_;  // once it is there
};
