// A registry takes a blob's bytes once it was told how many come, and what has begun to go there
// may have to begin again: both ways a blob passes through a file, and what leaves it is known to
// be right.
#include "image/transport/remote.h"

#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "image/files.h"

RegistrySource::RegistrySource(const Reference& name) {
    in_first_place(name, [&](const Place& place) {
        repository_ = std::make_shared<Repository>(name, place, "pull");
        top_ = repository_->document(name.digest.empty() ? name.tag : name.digest, name.digest);
    });
}

std::optional<std::string> RegistrySource::document(const spec::Descriptor& descriptor) {
    if (descriptor.digest == top_.descriptor.digest) return top_.text;
    if (tagged_ && descriptor.digest == tagged_->descriptor.digest) return tagged_->text;
    const auto type = spec::oci_media_type(descriptor.media_type);
    if (type == spec::media::manifest || type == spec::media::index)
        return repository_->document(descriptor.digest, descriptor.digest).text;
    if (descriptor.size > int64_t(most_document)) throw Error("it is too large for a document");
    std::string text;
    repository_->read(descriptor, [&](std::string_view piece) { text += piece; });
    return text;
}

std::optional<spec::Descriptor> RegistrySource::tagged(const std::string& tag) {
    tagged_ = repository_->find_document(tag);
    if (!tagged_) return {};
    return tagged_->descriptor;
}

ByteSource RegistrySource::open(const spec::Descriptor& blob) {
    const auto file = std::make_shared<UniqueFd>(nameless_file());
    repository_->read(blob, [&](std::string_view piece) { sys::write_all(file->get(), piece); });
    check(::lseek(file->get(), 0, SEEK_SET), "lseek");
    return [file, bytes = bytes_of(file->get())] { return bytes(); };
}

RegistrySink::RegistrySink(const Reference& name)
    : tag_(name.digest.empty() ? name.tag : name.digest),
      repository_(name, Hosts::load().to_push(name), "pull,push") {}

void RegistrySink::put(const spec::Descriptor& blob, const ByteSource& bytes) {
    const UniqueFd file = nameless_file();
    spool(bytes, file.get());
    repository_.send(blob, file.get());
}

// The last one is the image, and goes by its name alone.
void RegistrySink::put_document(const spec::Descriptor& descriptor, const std::string& text) {
    if (last_) repository_.put(*last_, last_->descriptor.digest);
    last_ = {descriptor, text};
}

void RegistrySink::finish(const spec::Descriptor& /*top*/) { repository_.put(*last_, tag_); }
