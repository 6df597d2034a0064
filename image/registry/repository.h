// The distribution API of one repository: documents and blobs, both ways. What a registry says is
// believed only as far as a digest reaches.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "image/registry/hosts.h"
#include "image/registry/session.h"
#include "image/store.h"

// What `look` finds of an image in the first place that it is to be pulled from: a mirror is asked
// before the registry, and whatever it does wrong, the next place is.
auto in_first_place(const Reference& image, auto&& look) {
    const std::vector<Place> places = Hosts::load().to_pull(image);
    for (const Place& mirror : std::span(places).first(places.size() - 1)) try {
            return look(mirror);
        } catch (const Error& e) {
            log_debug(str("mirror ", mirror.name, ": ", e.what()));
        }
    return look(places.back());
}

class Repository {
public:
    // `name` is what the user calls it, at `place`; `actions`: "pull" or "pull,push".
    Repository(const Reference& name, Place place, std::string actions);

    // --- what is there
    struct Document {
        spec::Descriptor descriptor;
        std::string text;
    };
    // A manifest or an index. `expected` may be empty: then the digest is that of the bytes. Throws
    // Docker's words for what is not there.
    Document document(const std::string& tag_or_digest, const std::string& expected);
    // The same, or nothing if there is no such tag.
    std::optional<Document> find_document(const std::string& tag);
    // What refers to that document, as the registry says: by the API of distribution-spec 1.1, or,
    // where there is none, by the index under the tag that stands for it. 1,000 at most.
    std::vector<spec::Descriptor> referrers(const Digest& subject);
    // Into the store, going on where an earlier command has stopped. False: another command has
    // brought it meanwhile.
    bool fetch(const Store& store, const spec::Descriptor& blob, Progress& progress);
    // Its bytes one after the other, each once, which nobody has compared with the digest yet.
    using Take = std::function<void(std::string_view)>;
    void read(const spec::Descriptor& blob, const Take& take);
    bool has_document(const std::string& digest);
    bool has_blob(const spec::Descriptor& blob);

    // --- what goes there: blobs, then what names them
    // From another repository of the same registry, without sending it.
    bool mount(const spec::Descriptor& blob, const std::string& from);
    // As many bytes of `fd` as the descriptor says.
    using Sent = std::function<void(uint64_t bytes)>;
    void send(const spec::Descriptor& blob, int fd, const Sent& sent = {});
    void put(const Document& document, const std::string& tag_or_digest);

    const Place& place() const { return session_.place(); }

private:
    void bring(const spec::Descriptor& blob, int64_t begin, const Take& take);
    HttpResponse bring_rest(const spec::Descriptor& blob, int64_t& size, const Take& take);
    Document take_document(const HttpResponse& answer, const std::string& expected);
    [[noreturn]] void refuse_document(const HttpResponse& response);
    // Docker's words for who may not.
    [[noreturn]] void refuse_push(const HttpResponse& response);

    Reference name_;
    Session session_;
};
