// The store as a place (image/store.h).
#pragma once

#include <mutex>

#include "image/store.h"
#include "image/transport/transport.h"

class StoreSource : public ImageSource {
public:
    // The image as it is named there; what is read is held by the store's lease, which the caller
    // has. By the name is found what refers to it.
    StoreSource(const Store& store, spec::Descriptor top, std::optional<Reference> name = {})
        : store_(store), top_(std::move(top)), name_(std::move(name)) {}
    spec::Descriptor top() override { return top_; }
    std::optional<std::string> document(const spec::Descriptor& descriptor) override;
    ByteSource open(const spec::Descriptor& blob) override;
    std::optional<spec::Descriptor> plain(const Digest& diff_id) override;
    std::vector<spec::Descriptor> referrers(const std::string& digest) override;

private:
    const Store& store_;
    spec::Descriptor top_;
    std::optional<Reference> name_;
};

// What was to go into the store is none.
struct NotAnImage : Error {
    using Error::Error;
};

class StoreSink : public ImageSink {
public:
    // Without a name it becomes a dangling image. `platform` is that of an index's image which is
    // made ready to be run; much of that is done while others of its layers come. `keeps_parts`: of
    // what comes from afar, what has come of a blob stays for the next command, and one that
    // another command is getting need not come again.
    StoreSink(const Store& store, std::optional<Reference> name, std::string platform = {},
              bool keeps_parts = false)
        : store_(store), lease_(store.use()), name_(std::move(name)),
          platform_(std::move(platform)), keeps_parts_(keeps_parts) {}
    bool keeps_index() const override { return true; }
    void expect(const spec::Manifest& image) override;
    bool has(const spec::Descriptor& blob) override { return store_.is_intact(blob); }
    void put(const spec::Descriptor& blob, const BytesFrom& bytes) override;
    bool compares_digests() const override { return true; }
    void put_document(const spec::Descriptor& descriptor, const std::string& text) override;
    void finish(const spec::Descriptor& top) override;

protected:
    const Store& store_;

private:
    void take(const spec::Descriptor& blob, const ByteSource& bytes);
    void go_on_with(const spec::Descriptor& blob, const BytesFrom& bytes);
    void prepare(const spec::Descriptor& layer);
    struct Layers {
        std::vector<Digest> diff_ids, chain_ids;
    };
    const Layers& expected_layers();

    const Lease lease_;
    std::optional<Reference> name_;
    std::string platform_;
    bool keeps_parts_;
    std::optional<spec::Manifest> expected_;
    std::mutex mutex_;
    std::optional<Layers> layers_;  // once their config is there
};

// What refers to an image is kept as in a registry without an API for it: an index of it has a tag
// that is made of the image's digest (tag_of_referrers), in the image's repository.
class StoreReferrerSink : public StoreSink {
public:
    StoreReferrerSink(const Store& store, const Reference& image, const std::string& subject);
    void expect(const spec::Manifest& /*artifact*/) override {}  // which need be no image
    void finish(const spec::Descriptor& top) override;

private:
    Reference list_;
};
