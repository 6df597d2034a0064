// What is hard: a server is a stranger with all the time of the world and no end of bytes. So the
// bytes are counted and hashed as they come, and the whole has an end; a transfer that stands still
// is given up by the client (image/registry/http.h). The name is the URL's, not the server's: what
// a Dockerfile says decides what the image has.
#include "builder/source/fetch.h"

#include <sys/stat.h>
#include <time.h>

#include "base/error.h"
#include "base/sys.h"
#include "image/registry/http.h"
#include "image/registry/url.h"

namespace {

// "%41" as "A"; what is no escape stays.
std::string without_escapes(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = text[i] == '%' && i + 2 < text.size()
                              ? parse_number<uint8_t>(text.substr(i + 1, 2), 16)
                              : std::nullopt;
        out += byte ? char(*byte) : text[i];
        if (byte) i += 2;
    }
    return out;
}

// RFC 9110's date, in the one form that may be sent.
std::optional<int64_t> parse_http_date(const std::string& text) {
    struct tm parts{};
    const char* const end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (!end || *end != '\0') return {};
    return int64_t(::timegm(&parts));
}

void set_time(int fd, int64_t seconds) {
    const timespec times[2] = {{.tv_sec = time_t(seconds), .tv_nsec = 0},
                               {.tv_sec = time_t(seconds), .tv_nsec = 0}};
    check(::futimens(fd, times), "setting a file's time");
}

Digest checked_checksum(const std::string& typed) {
    if (!Digest::is_valid(typed))
        throw Error("invalid checksum ", quoted(typed), ": expected sha256: and 64 hex digits");
    const Digest wanted(typed);
    if (wanted.algorithm() != "sha256")
        throw Error("unsupported checksum algorithm ", quoted(wanted.algorithm()),
                    ": expected sha256");
    return wanted;
}

}  // namespace

bool is_web_url(std::string_view source) {
    return source.starts_with("http://") || source.starts_with("https://");
}

std::string file_name_in(std::string_view url) {
    const std::string path = parse_url(url).rest;
    const std::string name = without_escapes(std::string_view(path).substr(0, path.find('?')));
    const std::string last = name.substr(name.rfind('/') + 1);
    const bool is_name = last != "." && last != ".." && !last.contains('\0');
    return is_name ? last : "";
}

void check_file_checksum(const std::string& typed) { checked_checksum(typed); }

FetchedFile fetch_file(const std::string& url, const std::string& directory,
                       const std::string& checksum, const FetchLimits& limits) {
    const auto wanted = checksum.empty() ? std::nullopt : std::optional(checked_checksum(checksum));
    const auto give_up = std::chrono::steady_clock::now() + limits.most_time;
    FetchedFile out{.path = directory + "/fetched-XXXXXX", .name = file_name_in(url), .digest = {}};
    const UniqueFd file(check(::mkostemp(out.path.data(), O_CLOEXEC), "making a file"));
    Hasher hasher;
    const auto take = [&](const HttpResponse&, std::string_view piece) {
        out.size += int64_t(piece.size());
        if (out.size > limits.most_bytes)
            throw Error(without_query(url), " has more than ", limits.most_bytes, " bytes");
        if (std::chrono::steady_clock::now() > give_up)
            throw Error(without_query(url), " takes longer than ", limits.most_time.count(),
                        " seconds");
        hasher.update(piece);
        sys::write_all(file.get(), piece);
    };
    const HttpResponse answer = Http().send({.url = url,
                                             .headers = {"Accept-Encoding: identity"},
                                             .trust = {.plain_http = url.starts_with("http://")},
                                             .body = {},
                                             .sink = take});
    if (!answer.is_success())
        throw Error("invalid response status ", answer.status, " of ", without_query(url));
    out.digest = hasher.finish();
    if (wanted && out.digest != *wanted)
        throw Error("digest mismatch of ", without_query(url), ": expected ", wanted->text(),
                    ", got ", out.digest.text());
    out.modified = parse_http_date(answer.header("last-modified"));
    if (out.modified) set_time(file.get(), *out.modified);
    return out;
}
