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
    // The bytes of a blob from `begin` on, one after the other, each once; nobody has compared them
    // with the digest yet. A transfer that breaks off goes on where it was.
    using Take = std::function<void(std::string_view)>;
    void read(const spec::Descriptor& blob, int64_t begin, const Take& take);
    // All tags, in the registry's order, each once.
    std::vector<std::string> tags();
    bool has_document(const std::string& digest);
    bool has_blob(const spec::Descriptor& blob);
    // What has that digest as its `subject` (distribution-spec 1.1, "Listing Referrers"), each
    // once, 10,000 at most; of one artifactType, or of any. From the API, or from the tag in its
    // place where the registry has none. A list is a hint: registries are known that name other
    // types, so whoever needs to know looks at the document and its own subject. Throws Error if it
    // cannot be said what there is.
    std::vector<spec::Descriptor> referrers(const std::string& digest,
                                            const std::string& artifact_type = {});

    // --- what goes there: blobs, then what names them
    // From another repository of the same registry, without sending it.
    bool mount(const spec::Descriptor& blob, const std::string& from);
    // As many bytes of `fd` as the descriptor says.
    using Sent = std::function<void(uint64_t bytes)>;
    void send(const spec::Descriptor& blob, int fd, const Sent& sent = {});
    // One with a subject is noted where the registry does not do so itself.
    void put(const Document& document, const std::string& tag_or_digest);

    const Place& place() const { return session_.place(); }

private:
    // distribution-spec, "Pushing Manifests with Subject": by the answer to the push the registry
    // knows of it, or the list under the tag is changed.
    void note_subject(const Document& document, const HttpResponse& answer);
    HttpResponse put_list(const std::string& path, const spec::Index& list,
                          const std::string& etag);
    // The list under the tag; nothing if there is none.
    std::optional<spec::Index> tagged_referrers(const std::string& digest,
                                                const std::string& doing);
    HttpResponse read_rest(const spec::Descriptor& blob, int64_t& size, const Take& take);
    Document take_document(const HttpResponse& answer, const std::string& expected);
    [[noreturn]] void refuse_document(const HttpResponse& response);
    [[noreturn]] void refuse_blob(const spec::Descriptor& blob, const HttpResponse& response);
    // Docker's words for who may not.
    [[noreturn]] void refuse_push(const HttpResponse& response);

    Reference name_;
    Session session_;
};
