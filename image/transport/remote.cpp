// A registry takes a blob's bytes once it was told how many come, and what has begun to go there
// may have to begin again: to it a blob passes through a file, and what leaves that is known to be
// right. From it the bytes come in a thread of their own, which a taker that fails must end.
#include "image/transport/remote.h"

#include "base/error.h"
#include "image/files.h"
#include "image/layer/read_ahead.h"

RegistrySource::RegistrySource(const Reference& name, std::vector<Place> places)
    : places_(name, std::move(places)) {
    places_.ask([&](Repository& place) {
        top_ = place.document(name.digest.empty() ? name.tag : name.digest, name.digest);
        places_.begin_with(place);
    });
}

std::optional<std::string> RegistrySource::document(const spec::Descriptor& descriptor) {
    if (descriptor.digest == top_.descriptor.digest) return top_.text;
    if (tagged_ && descriptor.digest == tagged_->descriptor.digest) return tagged_->text;
    const auto type = spec::oci_media_type(descriptor.media_type);
    if (type == spec::media::manifest || type == spec::media::index)
        return places_.ask([&](Repository& repository) {
            return repository.document(descriptor.digest, descriptor.digest).text;
        });
    if (descriptor.size > int64_t(most_document)) throw Error("it is too large for a document");
    std::string text;
    const ByteSource bytes = open(descriptor);
    for (std::string_view piece = bytes(); !piece.empty(); piece = bytes()) text += piece;
    return text;
}

// Where one place breaks off, the next one goes on.
ByteSource RegistrySource::open_at(const spec::Descriptor& blob, int64_t begin) {
    const auto bytes = std::make_shared<ReadAhead>([=, this](const ReadAhead::Take& take) {
        int64_t at = begin;
        places_.ask([&](Repository& repository) {
            repository.read(blob, at, [&](std::string_view piece) {
                take(piece);
                at += int64_t(piece.size());
            });
        });
    });
    return [bytes] { return bytes->next(); };
}

std::vector<spec::Descriptor> RegistrySource::referrers(const std::string& digest) {
    return places_.find([&](Repository& place) { return place.referrers(digest); });
}

std::optional<spec::Descriptor> RegistrySource::tagged(const std::string& tag) {
    tagged_ = places_.find([&](Repository& place) { return place.find_document(tag); });
    if (!tagged_) return {};
    return tagged_->descriptor;
}

RegistrySink::RegistrySink(const Reference& name)
    : tag_(name.digest.empty() ? name.tag : name.digest),
      repository_(name, Hosts::load().to_push(name), "pull,push") {}

void RegistrySink::put(const spec::Descriptor& blob, const BytesFrom& bytes) {
    const UniqueFd file = nameless_file();
    spool(bytes(0), file.get());
    repository_.send(blob, file.get());
}

// The last one is the image, and goes by its name alone.
void RegistrySink::put_document(const spec::Descriptor& descriptor, const std::string& text) {
    if (last_) repository_.put(*last_, last_->descriptor.digest);
    last_ = {descriptor, text};
}

void RegistrySink::finish(const spec::Descriptor& /*top*/) { repository_.put(*last_, tag_); }
