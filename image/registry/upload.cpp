// Sending a blob. The registry names a URL for it, and a new one with each answer; both may be
// anything, and are used as they are. What is large goes in pieces, since proxies limit a request's
// length; and when a connection breaks, the registry is asked how far it has come, which only it
// knows: of what was sent any part may be lost. Where it cannot say, one begins anew, if the blob
// has not arrived all the same.
#include <algorithm>

#include "base/log.h"
#include "image/registry/refusal.h"
#include "image/registry/repository.h"
#include "image/registry/retry.h"
#include "image/registry/url.h"

namespace {

constexpr int64_t largest_piece = int64_t(64) << 20;
constexpr int patience_for_the_end = 5;  // a registry may hash or move all of it then
constexpr const char* bytes_type = "application/octet-stream";

// "0-1233", sometimes with "bytes=" before it: how many bytes are there. "0-0" is what registries
// say of none.
std::optional<int64_t> bytes_there(std::string_view range) {
    if (range.starts_with("bytes=")) range.remove_prefix(6);
    if (!range.starts_with("0-")) return {};
    const auto last = parse_number<int64_t>(range.substr(2));
    if (!last || *last < 0) return {};
    return *last == 0 ? 0 : *last + 1;
}

class Upload {
public:
    Upload(Session& session, const spec::Descriptor& blob, int fd, const Repository::Sent& sent)
        : session_(session), blob_(blob), fd_(fd), sent_(sent) {}

    // The registry's last word, 201 if all went well.
    HttpResponse run() {
        for (;;) try {
                if (is_lost_ && find_place()) return {.status = 201};
                HttpResponse answer = step();
                if (answer.status == 201) return answer;
                if (answer.status == 202) continue;
                const bool is_elsewhere = answer.status == 404 || answer.status == 416;
                if ((!is_passing(answer) && !is_elsewhere) || !retry_.again(answer)) return answer;
                is_lost_ = true;
            } catch (const TransportError& e) {
                if (e.why == TransportError::Why::untrusted || !retry_.again()) throw;
                log_debug(str(e.what(), ": asking how far the upload has come"));
                is_lost_ = true;
            }
    }

private:
    // A request that brings it further: the beginning, a piece, or the last piece and the end.
    HttpResponse step() {
        if (location_.empty()) return begin();
        const int64_t left = blob_.size - offset_;
        const int64_t most = std::max(largest_piece, least_piece_);
        return left > most ? piece("PATCH", location_, most)
                           : piece("PUT", with_parameter(location_, "digest", blob_.digest), left);
    }

    HttpResponse begin() {
        HttpResponse answer =
            session_.send({.method = "POST", .path = "blobs/uploads/", .body = HttpBody{}});
        if (answer.status != 202) return answer;
        least_piece_ = parse_number<int64_t>(answer.header("oci-chunk-min-length")).value_or(0);
        offset_ = 0;
        take_location(answer);
        return answer;
    }

    HttpResponse piece(const char* method, const std::string& url, int64_t size) {
        std::vector<std::string> headers;
        const bool is_all = size == blob_.size;
        if (!is_all && size > 0)
            headers.push_back(str("Content-Range: ", offset_, "-", offset_ + size - 1));
        HttpResponse answer = session_.send(
            {.method = method,
             .path = url,
             .headers = std::move(headers),
             .body = HttpBody{.type = bytes_type, .fd = fd_, .offset = offset_, .size = size},
             .sent = sent_,
             .patience = patience_for_the_end});
        if (answer.status == 202) {
            offset_ = bytes_there(answer.header("range")).value_or(offset_ + size);
            take_location(answer);
            retry_.progress();
        }
        return answer;
    }

    void take_location(const HttpResponse& answer) {
        const std::string location = answer.header("location");
        if (location.empty() && location_.empty())
            throw session_.error("sending blob " + blob_.digest,
                                 "the answer has no Location to send it to", answer);
        if (!location.empty()) location_ = resolve_url(parse_url(answer.url), location).text();
    }

    // From where it goes on after a failure. True: it is all there.
    bool find_place() {
        if (!location_.empty()) {
            const HttpResponse answer = session_.send_patiently({.path = location_});
            const auto there = bytes_there(answer.header("range"));
            if (answer.is_success() && there && *there <= blob_.size) {
                if (*there > offset_) retry_.progress();
                offset_ = *there;
                take_location(answer);
                is_lost_ = false;
                return false;
            }
            location_.clear();
        }
        is_lost_ = false;
        const HttpResponse answer =
            session_.send_patiently({.method = "HEAD", .path = "blobs/" + blob_.digest});
        return answer.is_success();
    }

    Session& session_;
    const spec::Descriptor& blob_;
    int fd_;
    const Repository::Sent& sent_;
    Retry retry_;
    std::string location_;  // the whole URL; "": none was named yet
    bool is_lost_ = false;  // how far it has come is not known
    int64_t offset_ = 0, least_piece_ = 0;
};

}  // namespace

bool Repository::has_blob(const spec::Descriptor& blob) {
    const HttpResponse answer =
        session_.send_patiently({.method = "HEAD", .path = "blobs/" + blob.digest});
    if (answer.status == 401 || answer.status == 403) refuse_push(answer);
    return answer.is_success();
}

// Who may not read the other repository, or whose registry does not know of mounting, sends it.
bool Repository::mount(const spec::Descriptor& blob, const std::string& from) {
    std::string path = with_parameter("blobs/uploads/", "mount", blob.digest);
    path = with_parameter(path, "from", from);
    const HttpResponse answer = session_.send_patiently(
        {.method = "POST", .path = path, .body = HttpBody{}, .also_pulls = from});
    if (answer.status == 202 && !answer.header("location").empty())  // an upload that nobody needs
        attempt("giving up an upload", [&] {
            const Url url = resolve_url(parse_url(answer.url), answer.header("location"));
            session_.send({.method = "DELETE", .path = url.text()});
        });
    return answer.status == 201;
}

void Repository::send(const spec::Descriptor& blob, int fd, const Sent& sent) {
    const HttpResponse answer = Upload(session_, blob, fd, sent).run();
    if (answer.status != 201) refuse_push(answer);
}

void Repository::put(const Document& document, const std::string& tag_or_digest) {
    const auto& [descriptor, text] = document;
    const HttpResponse answer =
        session_.send_patiently({.method = "PUT",
                                 .path = "manifests/" + tag_or_digest,
                                 .body = HttpBody{.type = descriptor.media_type, .text = text}});
    if (!answer.is_success()) refuse_push(answer);
    const std::string called = answer.header("docker-content-digest");
    if (!called.empty() && called != descriptor.digest &&
        called.starts_with(Digest(descriptor.digest).algorithm()))
        throw session_.error("pushing " + name_.familiar(),
                             "the registry calls the manifest " + called + ", but it is " +
                                 descriptor.digest,
                             answer);
    note_subject(document, answer);
}

void Repository::refuse_push(const HttpResponse& response) {
    if (response.status == 401 && session_.lacks_password())
        throw session_.error("pushing " + name_.familiar(), "no basic auth credentials", response);
    throw session_.error("pushing " + name_.familiar(), response);
}
