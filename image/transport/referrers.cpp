// A list of referrers is a claim: each document is read, and only one whose own subject is the
// digest that was asked for is one. There may be referrers of referrers (a signature of an
// attestation), and somebody's joke among them, so all of them together are bounded.
#include "image/transport/referrers.h"

#include <set>

#include "base/error.h"
#include "base/log.h"
#include "image/digest.h"
#include "image/platform.h"
#include "image/subject.h"

namespace {

constexpr size_t most_in_all = 10'000;

bool is_document(const spec::Descriptor& descriptor) {
    const auto type = spec::oci_media_type(descriptor.media_type);
    return type == spec::media::manifest || type == spec::media::index;
}

// The digests that will be there when the image is: what is copied, from the top down.
void add_copied(ImageSource& from, const spec::Descriptor& top, const CopyOptions& options,
                bool keeps_index, size_t depth, std::vector<std::string>& out) {
    if (depth > most_nested_indexes) throw Error("indexes are nested too deep");
    const bool is_index = spec::is_index(top.media_type);
    if (!is_index || options.all || keeps_index) out.push_back(top.digest);
    if (!is_index) return;
    const spec::Index index = spec::read_index(checked_document(from, top));
    if (!options.all) {
        if (const auto* const chosen = find_platform(index, options.platform))
            add_copied(from, *chosen, options, keeps_index, depth + 1, out);
        return;
    }
    for (const spec::Descriptor& child : index.manifests)
        if (is_document(child)) add_copied(from, child, options, keeps_index, depth + 1, out);
}

// A referrer as if it were the image that was asked for.
class ReferrerSource : public ImageSource {
public:
    ReferrerSource(ImageSource& from, spec::Descriptor top) : from_(from), top_(std::move(top)) {}
    spec::Descriptor top() override { return top_; }
    std::optional<std::string> document(const spec::Descriptor& descriptor) override {
        return from_.document(descriptor);
    }
    ByteSource open(const spec::Descriptor& blob) override { return from_.open(blob); }
    ByteSource open_at(const spec::Descriptor& blob, int64_t begin) override {
        return from_.open_at(blob, begin);
    }

private:
    ImageSource& from_;
    spec::Descriptor top_;
};

// As its document says it is; nothing for one that refers to something else.
std::optional<spec::Descriptor> checked_referrer(ImageSource& from, const spec::Descriptor& listed,
                                                 const std::string& subject) {
    const auto is_left = [&](const char* why) {
        log_warning(str("what is listed as a referrer of ", subject,
                        " is left out: ", listed.digest, " ", why));
        return std::nullopt;
    };
    if (!is_document(listed)) return is_left("is no manifest");
    const std::string text = checked_document(from, listed);
    if (subject_of(text) != subject) return is_left("refers to something else");
    return referrer_entry(listed, text);
}

}  // namespace

void copy_referrers(ImageSource& from, const CopyOptions& options, bool keeps_index,
                    const PlaceForReferrer& place) {
    std::vector<std::string> subjects;
    add_copied(from, from.top(), options, keeps_index, 0, subjects);
    std::set<std::string> seen(subjects.begin(), subjects.end());
    for (size_t i = 0; i < subjects.size(); ++i) {
        const std::string subject = subjects[i];
        for (const spec::Descriptor& listed : from.referrers(subject)) {
            const auto referrer = checked_referrer(from, listed, subject);
            if (!referrer || !seen.insert(referrer->digest).second) continue;
            if (seen.size() > most_in_all)
                throw Error("more than ", most_in_all, " documents refer to the image");
            ReferrerSource source(from, *referrer);
            context("referrer " + referrer->digest,
                    [&] { copy_image(source, *place(*referrer, subject), {.all = true}); });
            subjects.push_back(referrer->digest);
        }
    }
}
