// Where images come from and where they go: a registry, the store, a layout, an archive. copy()
// (image/copy.h) goes between any two of them, and is the one that looks at what documents say.
//
// Neither side trusts the other: a source gives bytes, whoever asked compares them with the digest;
// a sink shows nothing to anybody before finish().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/digest.h"
#include "image/layer/decoder.h"
#include "spec/image.h"

class ImageSource {
public:
    ImageSource() = default;
    ImageSource(const ImageSource&) = delete;
    ImageSource& operator=(const ImageSource&) = delete;
    virtual ~ImageSource() = default;

    // The document of the image that was asked for: a manifest, or an index. Throws Error if there
    // is none, or more than one.
    virtual spec::Descriptor top() = 0;
    // The bytes of a document, 4 MiB at most; nothing if it is not there.
    virtual std::optional<std::string> document(const spec::Descriptor& descriptor) = 0;
    // The bytes of a blob. Several may be read at once, each by one thread. Throws Error if it is
    // not there.
    virtual ByteSource open(const spec::Descriptor& blob) = 0;
    // Those from `begin` on, of whose front somebody has so many already.
    virtual ByteSource open_at(const spec::Descriptor& blob, int64_t begin);
    // What lies beside the image and speaks of it: the document under that tag ("sha256-HEX.sig"),
    // or nothing if there is none.
    virtual std::optional<spec::Descriptor> tagged(const std::string& /*tag*/) { return {}; }
    // The plain tar of a layer, if it is kept beside what the manifest names.
    virtual std::optional<spec::Descriptor> plain(const Digest& /*diff_id*/) { return {}; }
    // What has that digest as its subject, as far as the place says; who needs to know looks at the
    // documents. Throws Error if it cannot be said.
    virtual std::vector<spec::Descriptor> referrers(const std::string& /*digest*/) { return {}; }
    // Does it take long to have the same bytes again?
    virtual bool is_far() const { return false; }
    // Is the manifest only made up, of what says otherwise what an image consists of? Then nobody
    // knows its digest.
    virtual bool is_made_up() const { return false; }
};

// The bytes of a small document or blob, which have the digest and the size that are said of them.
// Throws Error.
std::string checked_document(ImageSource& place, const spec::Descriptor& descriptor);

// How a place wants the layers of images.
enum class TakenLayers { as_they_are, plain, compressed_if_made_up };

// A blob that is offered: its bytes from there on, as many as its descriptor says, or it throws.
using BytesFrom = std::function<ByteSource(int64_t begin)>;

class ImageSink {
public:
    ImageSink() = default;
    ImageSink(const ImageSink&) = delete;
    ImageSink& operator=(const ImageSink&) = delete;
    virtual ~ImageSink() = default;

    virtual TakenLayers form() const { return TakenLayers::as_they_are; }
    // Does it keep the index through which one image was chosen, without the others?
    virtual bool keeps_index() const { return false; }
    // Throws Error for an image that the place does not take, before anything of it comes.
    virtual void expect(const spec::Manifest& /*image*/) {}
    // How many blobs it takes at once, each from a thread of its own.
    virtual size_t at_once() const { return 3; }
    // Is the blob there, with the right bytes?
    virtual bool has(const spec::Descriptor& blob) = 0;
    // Takes a blob; configs come before layers. Its bytes throw at their end if they are not the
    // digest's, unless the place compares them itself: then the blob is not there.
    virtual void put(const spec::Descriptor& blob, const BytesFrom& bytes) = 0;
    virtual bool compares_digests() const { return false; }
    // A document, behind all that it names.
    virtual void put_document(const spec::Descriptor& descriptor, const std::string& text) = 0;
    // All is there: that document is the image.
    virtual void finish(const spec::Descriptor& top) = 0;
};
