// A document may be anybody's, and of a kind that keg knows nothing else of: what it refers to is
// looked for in the JSON alone, and what has another form there refers to nothing.
#include "image/subject.h"

#include "base/json.h"
#include "image/digest.h"

std::string subject_of(const std::string& document) try {
    const json::Value value = json::parse(document);
    const auto subject = value.is_object() ? value.find("subject") : value.end();
    if (subject == value.end() || !subject->is_object()) return "";
    const auto digest = subject->find("digest");
    if (digest == subject->end() || !digest->is_string()) return "";
    const std::string text = digest->get<std::string>();
    return Digest::is_valid(text) ? text : "";
} catch (const std::exception&) {
    return "";
}

spec::Descriptor referrer_entry(const spec::Descriptor& descriptor, const std::string& document) {
    spec::Descriptor entry{
        .media_type = descriptor.media_type, .digest = descriptor.digest, .size = descriptor.size};
    if (spec::is_index(descriptor.media_type)) {
        const spec::Index index = spec::read_index(document);
        entry.artifact_type = index.artifact_type, entry.annotations = index.annotations;
        return entry;
    }
    const spec::Manifest manifest = spec::read_manifest(document);
    entry.artifact_type =
        manifest.artifact_type.empty() ? manifest.config.media_type : manifest.artifact_type;
    entry.annotations = manifest.annotations;
    return entry;
}

std::string tag_of_referrers(const std::string& digest) {
    const Digest subject(digest);
    return subject.algorithm() + "-" + subject.hex().substr(0, 64);
}
