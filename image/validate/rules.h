// What `keg validate` judges: the table of its rules, and what was found by them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"

enum class Severity {
    info,     // worth knowing
    warning,  // allowed, but not what a reader may count on
    error,    // against the words of the specification
    fatal,    // a reader must refuse it: it cannot be used, or not all would read the same
};
std::string_view word_of(Severity severity);

struct Rule {
    std::string_view code;  // stable: programs know it
    Severity severity;
    std::string_view text;  // what holds where it is kept
};

inline constexpr Rule validation_rules[] = {
    // Documents
    {"invalid-json", Severity::fatal, "a document is one JSON object, no property twice, in UTF-8"},
    {"too-large", Severity::fatal, "documents, their number, depth and names have a bound"},
    {"wrong-type", Severity::fatal, "each property has the type that the specification gives it"},
    {"unreadable", Severity::fatal, "a document says nothing else that keg's reader refuses"},
    {"schema-version", Severity::fatal, "schemaVersion is 2"},
    {"two-kinds", Severity::fatal, "no document is a manifest and an index at once"},
    {"missing-field", Severity::error, "what the specification requires is there"},
    {"media-type-missing", Severity::error, "a descriptor has a mediaType"},
    {"invalid-media-type", Severity::error, "a media type is TYPE/SUBTYPE of RFC 6838"},
    {"media-type-mismatch", Severity::error, "a document's mediaType is that of its descriptor"},
    {"artifact-type-missing", Severity::error, "who has an empty config has an artifactType"},
    {"schema1", Severity::warning, "no manifest is of Docker's schema 1, which nobody writes now"},
    {"invalid-time", Severity::warning, "a time is as RFC 3339 has it"},
    {"deep-index", Severity::warning, "indexes are nested no deeper than two"},
    {"unknown-type", Severity::info, "what has a type that is not known here is not looked into"},
    {"attestation", Severity::info, "an attestation says how an image was built, and is none"},

    // Descriptors and blobs
    {"invalid-digest", Severity::fatal, "a digest is ALGORITHM:ENCODED, with all of its digits"},
    {"negative-size", Severity::fatal, "a size is not negative"},
    {"data-mismatch", Severity::fatal, "embedded data is base64 of what digest and size say"},
    {"digest-mismatch", Severity::fatal, "a blob's bytes have the digest of its descriptor"},
    {"size-mismatch", Severity::fatal, "a blob has the size of its descriptor"},
    {"irregular-blob", Severity::fatal, "a blob is a regular file, and no link leads to it"},
    {"blob-name", Severity::error, "a file in blobs has its digest for a name"},
    {"missing-blob", Severity::warning, "what a descriptor names is there"},
    {"unreferenced-blob", Severity::warning, "each blob is of some image"},
    {"other-digest", Severity::warning, "digests are sha256, which all readers know"},

    // Layouts and archives
    {"missing-file", Severity::fatal, "the files that make it what it is are there"},
    {"layout-version", Severity::fatal, "oci-layout says imageLayoutVersion 1.0.0"},
    {"invalid-archive", Severity::fatal, "the archive is a tar, whole, in which no name leads out"},
    {"duplicate-name", Severity::warning, "no two entries of index.json have one name"},
    {"invalid-name", Severity::warning, "ref.name is letters and digits, joined by - . _ : @ / +"},
    {"missing-part", Severity::error,
     "the config and the layers that manifest.json names are there"},
    {"layer-through-link", Severity::error,
     "a layer of manifest.json is a file, and no link to one"},
    {"invalid-tag", Severity::error, "a word of RepoTags is NAME:TAG"},
    {"duplicate-tag", Severity::error, "no two images of manifest.json have one tag"},
    {"disagreement", Severity::error, "manifest.json and index.json say the same of an image"},

    // Configs
    {"rootfs-type", Severity::fatal, "rootfs.type is layers"},
    {"diff-id-count", Severity::fatal, "there are as many diff_ids as layers"},
    {"diff-id-mismatch", Severity::fatal, "a layer's tar has the digest that diff_ids says"},
    {"no-platform", Severity::warning, "where an index has several manifests, each has a platform"},
    {"platform-mismatch", Severity::warning, "an entry's platform is that of the image's config"},
    {"history-count", Severity::warning, "the history has an entry for each layer, or none at all"},
    {"invalid-word", Severity::warning, "each word of the config has its form"},
    {"unknown-user", Severity::warning, "the user is in the image's own passwd, or is a number"},

    // Layers
    {"unknown-compression", Severity::fatal, "a layer is plain, or compressed with gzip or zstd"},
    {"corrupt-stream", Severity::fatal,
     "the compressed data is whole, and its checksums are right"},
    {"invalid-tar", Severity::fatal, "the tar is whole, and all readers read the same"},
    {"layer-kind", Severity::fatal,
     "a layer is an EROFS image where its media type says so, and else a tar"},
    {"invalid-erofs", Severity::fatal,
     "an EROFS image is whole, is not compressed inside, and says nothing in unknown ways"},
    {"erofs-role", Severity::fatal, "an EROFS image is a layer by itself"},
    {"escaping-entry", Severity::fatal, "no name leads out of the root"},
    {"root-type", Severity::fatal, "the root is a directory"},
    {"empty-whiteout", Severity::fatal, "a whiteout names a file"},
    {"bad-hard-link", Severity::fatal, "a hard link is to a file that is there, not a directory"},
    {"unusable-entry", Severity::fatal, "an entry is one that can be made, and brings no whiteout"},
    {"compression-mismatch", Severity::error, "a layer is compressed as its media type says"},
    {"duplicate-path", Severity::error, "a path is in a layer once"},
    {"nondistributable", Severity::warning, "layers may be given to others: these types are gone"},
    {"sparse-entry", Severity::warning, "no file is stored with its holes left out"},
    {"ignored-attribute", Severity::warning, "no attribute is of the host's or of overlayfs's own"},
    {"large-owner", Severity::warning, "owners are below 2^31, which all readers take"},
    {"trailing-bytes", Severity::warning, "nothing follows the end of the tar"},
    {"implied-parent", Severity::warning, "a directory that a layer needs is described"},
    {"idle-whiteout", Severity::warning, "a whiteout hides something of the layers below"},
    {"late-whiteout", Severity::warning,
     "a whiteout stands before the other files of its directory"},
    {"opaque-whiteout", Severity::warning, "what is hidden is named, file by file"},
    {"lower-link", Severity::info, "what a hard link names is in this layer, or one that was seen"},
    {"not-stacked", Severity::info, "a layer is held against all that it stands on"},
    {"erofs-feature", Severity::warning,
     "who has EROFS images for layers has erofs in os.features, for those who cannot read them"},
    {"mixed-layers", Severity::warning, "layers are all tars, or all EROFS images"},
    {"partial-pull", Severity::info,
     "a layer that can be read in parts is one for all others, too"},
    {"gzip-header", Severity::info,
     "gzip's header has no time and no name, and is always the same"},

    // Bundles
    {"invalid-config", Severity::error, "config.json keeps the rules of the runtime specification"},
    {"missing-rootfs", Severity::error, "the directory that config.json names as root is there"},
    {"invalid-origin", Severity::warning, "keg.json says what image the bundle was unpacked from"},
};

// A rule by its code, which is looked up while it is compiled.
class RuleCode {
public:
    consteval RuleCode(const char* code)
        : rule_(std::ranges::find(validation_rules, std::string_view(code), &Rule::code)) {
        if (rule_ == std::end(validation_rules)) throw "no rule has this code";
    }
    const Rule& rule() const { return *rule_; }

private:
    const Rule* rule_;
};

struct Finding {
    const Rule* rule;
    std::string place;  // a document or blob, and what in it: "index.json/manifests[0].digest"
    std::string problem;
};

// What was found, in the order in which it was. Of one kind in one document it keeps some and
// counts the rest: a stranger says how many there are.
class Findings {
public:
    void add(RuleCode code, const std::string& document, const std::string& inside,
             std::string problem);
    // How many there are, those that were only counted with them.
    size_t count(Severity severity) const { return counts_[size_t(severity)]; }
    size_t count() const;
    // All of them; where some were only counted, it says so at the end.
    std::vector<Finding> list() const;

private:
    std::vector<Finding> kept_;
    struct Times {
        size_t met = 0, kept = 0;
    };
    std::map<std::pair<std::string, const Rule*>, Times> seen_;
    size_t counts_[4] = {};
};
