// What is hard: what a source says is a stranger's word, until bytes have the digest that somebody
// else gave for them. And an index may name one document many times, in each of many: a few bytes
// can stand for a walk without end, so what is counted is the steps, not the documents.
#include "image/documents.h"

#include "base/error.h"
#include "image/digest.h"
#include "image/inline_data.h"
#include "image/platform.h"

constexpr size_t most_documents = 10'000, most_document_bytes = size_t(256) << 20;

Document Documents::read(const spec::Descriptor& descriptor, size_t depth) {
    return context(
        str(spec::is_index(descriptor.media_type) ? "index " : "manifest ", descriptor.digest),
        [&] {
            if (depth > most_nested_indexes) throw Error("indexes are nested too deep");
            if (++documents_ > most_documents)
                throw Error("the image has more than ", most_documents, " documents");
            Document out{.descriptor = descriptor, .text = text_of(descriptor)};
            const auto type = spec::oci_media_type(descriptor.media_type);
            if (type == spec::media::manifest)
                out.manifest = spec::read_manifest(out.text);
            else if (type == spec::media::index)
                out.index = spec::read_index(out.text);
            else
                throw Error("unsupported manifest media type ", quoted(descriptor.media_type));
            const std::string& inside =
                out.manifest ? out.manifest->media_type : out.index->media_type;
            if (!inside.empty() && inside != descriptor.media_type)
                throw Error("it is called ", quoted(descriptor.media_type), ", but is ",
                            quoted(inside));
            return out;
        });
}

void Documents::read_children(Document& parent, const Wanted& is_wanted, size_t depth) {
    if (!parent.index) return;
    for (size_t i = 0; i < parent.index->manifests.size(); ++i) {
        const spec::Descriptor& child = parent.index->manifests[i];
        if (is_wanted && !is_wanted(child)) continue;
        parent.children.push_back(read(child, depth + 1));
        parent.children.back().entry = i;
        read_children(parent.children.back(), is_wanted, depth + 1);
    }
}

std::string Documents::text_of(const spec::Descriptor& descriptor) {
    const Digest digest(descriptor.digest);
    auto text = inline_data(descriptor);
    if (!text) text = from_.document(descriptor);
    if (!text) throw Error("it is not there");
    if (int64_t(text->size()) != descriptor.size)
        throw Error("it has ", text->size(), " bytes instead of ", descriptor.size);
    if (digest_of(*text, digest.algorithm()) != digest)
        throw Error("it is damaged: its bytes have another digest");
    if ((bytes_ += text->size()) > most_document_bytes)
        throw Error("the image's documents have more than ", most_document_bytes, " bytes");
    return std::move(*text);
}
