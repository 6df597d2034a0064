// libcurl brings thirty libraries, whose loading is a sixth of a whole `keg run`: it is loaded when
// the first request is made, and its functions are called through a table.
//
// What is hard is what must not happen. Redirects are followed here and not by libcurl, which would
// show a client's certificate to whoever is named: each hop is a request of its own, with what that
// origin may see. An exception must not pass through C: it waits in the transfer. And a URL's query
// may hold a signature, so no error and no log shows one.
#include "image/registry/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <mutex>

#include "base/duration.h"
#include "base/log.h"
#include "base/shared_library.h"
#include "image/registry/url.h"

namespace {

constexpr int most_redirects = 10;
constexpr size_t most_headers = 200;
// A transfer that is slower than this all the time is one that stands still.
constexpr long crawl = 32;  // bytes a second

struct Curl : SharedLibrary {
    decltype(&::curl_global_init) global_init = find<decltype(global_init)>("curl_global_init");
    decltype(&::curl_easy_init) easy_init = find<decltype(easy_init)>("curl_easy_init");
    decltype(&::curl_easy_reset) easy_reset = find<decltype(easy_reset)>("curl_easy_reset");
    decltype(&::curl_easy_cleanup) easy_cleanup = find<decltype(easy_cleanup)>("curl_easy_cleanup");
    decltype(&::curl_easy_perform) easy_perform = find<decltype(easy_perform)>("curl_easy_perform");
    decltype(&::curl_easy_strerror) easy_strerror =
        find<decltype(easy_strerror)>("curl_easy_strerror");
    CURLcode (*easy_setopt)(CURL*, CURLoption,
                            ...) = find<decltype(easy_setopt)>("curl_easy_setopt");
    CURLcode (*easy_getinfo)(CURL*, CURLINFO,
                             ...) = find<decltype(easy_getinfo)>("curl_easy_getinfo");
    decltype(&::curl_slist_append) slist_append = find<decltype(slist_append)>("curl_slist_append");
    decltype(&::curl_slist_free_all) slist_free_all =
        find<decltype(slist_free_all)>("curl_slist_free_all");

    Curl() : SharedLibrary("libcurl.so.4", "registries") { global_init(CURL_GLOBAL_DEFAULT); }
};

const Curl& curl() {
    static const Curl loaded;  // once, whatever the number of threads
    return loaded;
}

long seconds_of_patience() {
    const char* const typed = ::getenv("KEG_REGISTRY_TIMEOUT");
    if (!typed || !*typed) return 60;
    const auto wanted = parse_duration(typed);
    if (!wanted || *wanted < std::chrono::seconds(1))
        throw Error("KEG_REGISTRY_TIMEOUT: ", ::quoted(typed),
                    " is no duration of a second or more");
    return long(std::chrono::ceil<std::chrono::seconds>(*wanted).count());
}

struct Transfer {
    const HttpRequest& request;
    CURL* handle;
    HttpResponse response;
    int64_t given = 0;         // of the request's body
    std::exception_ptr error;  // of a function of ours

    int64_t body_size() const {
        const HttpBody& body = *request.body;
        return body.fd >= 0 ? body.size : int64_t(body.text.size());
    }
};

size_t take_header(char* data, size_t, size_t count, void* user) try {
    auto& response = static_cast<Transfer*>(user)->response;
    const std::string_view line(data, count);
    if (line.starts_with("HTTP/")) response.headers.clear();  // what came before was "100 Continue"
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && response.headers.size() < most_headers)
        response.headers.emplace(lower(std::string(line.substr(0, colon))),
                                 trim(line.substr(colon + 1)));
    return count;
} catch (...) {
    return 0;
}

size_t take_body(char* data, size_t, size_t count, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    try {
        HttpResponse& response = transfer.response;
        curl().easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &response.status);
        response.url = transfer.request.url;
        if (transfer.request.sink && response.is_success()) {
            transfer.request.sink(response, {data, count});
        } else {
            if (response.body.size() + count > transfer.request.most_body)
                throw Error("the answer of ", without_query(transfer.request.url), " is too large");
            response.body.append(data, count);
        }
        return count;
    } catch (...) {
        transfer.error = std::current_exception();
        return 0;
    }
}

size_t give_body(char* to, size_t, size_t room, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    try {
        const HttpBody& body = *transfer.request.body;
        const auto count =
            size_t(std::min<int64_t>(int64_t(room), transfer.body_size() - transfer.given));
        if (count == 0) return 0;
        ssize_t got = 0;
        if (body.fd < 0) {
            got = ssize_t(body.text.copy(to, count, size_t(transfer.given)));
        } else {
            do got = ::pread(body.fd, to, count, body.offset + transfer.given);
            while (got < 0 && errno == EINTR);
            check(got, "reading what is to be sent");
        }
        if (got == 0) throw Error("what is to be sent has become shorter");
        transfer.given += got;
        if (transfer.request.sent) transfer.request.sent(uint64_t(got));
        return size_t(got);
    } catch (...) {
        transfer.error = std::current_exception();
        return CURL_READFUNC_ABORT;
    }
}

// libcurl would send it once more by itself if a connection that it had kept breaks. What is told
// again does no harm, but of a file the registry may have got a part: only who knows that goes on.
int seek_body(void* user, curl_off_t offset, int) {
    auto& transfer = *static_cast<Transfer*>(user);
    if (transfer.request.body->fd >= 0 && offset < transfer.given) return CURL_SEEKFUNC_FAIL;
    transfer.given = offset;
    return CURL_SEEKFUNC_OK;
}

TransportError::Why why_of(CURLcode code) {
    using enum TransportError::Why;
    switch (code) {
        case CURLE_COULDNT_CONNECT:
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY: return unreachable;
        case CURLE_SSL_CONNECT_ERROR: return not_tls;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CERTPROBLEM: return untrusted;
        default: return broken;
    }
}

// One request as options of a handle, which must not outlive it.
class Hop {
public:
    Hop(CURL* handle, const HttpRequest& request) : transfer_{request, handle} {
        set(CURLOPT_URL, request.url.c_str());
        set(CURLOPT_USERAGENT, "keg");
        set(CURLOPT_PROTOCOLS_STR, request.trust.plain_http ? "http,https" : "https");
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_CONNECTTIMEOUT, 30L);
        set(CURLOPT_LOW_SPEED_LIMIT, crawl);
        set(CURLOPT_LOW_SPEED_TIME, seconds_of_patience() * request.patience);
        set(CURLOPT_BUFFERSIZE, 256L << 10);
        set(CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
        set(CURLOPT_ERRORBUFFER, static_cast<char*>(why_));
        set(CURLOPT_HEADERFUNCTION, take_header);
        set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer_));
        set(CURLOPT_WRITEFUNCTION, take_body);
        set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer_));
        if (is_loopback(parse_url(request.url).authority)) set(CURLOPT_PROXY, "");
        show_who_we_are();
        set_method();
        set_headers();
    }
    Hop(const Hop&) = delete;
    Hop& operator=(const Hop&) = delete;

    HttpResponse perform() {
        const HttpRequest& request = transfer_.request;
        const CURLcode code = curl().easy_perform(transfer_.handle);
        if (transfer_.error) std::rethrow_exception(transfer_.error);
        const std::string shown = without_query(request.url);
        if (code != CURLE_OK)
            throw TransportError(why_of(code), capital(request.method), " ", ::quoted(shown), ": ",
                                 *why_ ? why_ : curl().easy_strerror(code));
        curl().easy_getinfo(transfer_.handle, CURLINFO_RESPONSE_CODE, &transfer_.response.status);
        transfer_.response.url = request.url;
        log_debug(str(request.method, " ", shown, ": ", transfer_.response.status));
        return std::move(transfer_.response);
    }

private:
    void set(CURLoption option, auto value) { curl().easy_setopt(transfer_.handle, option, value); }
    static std::string capital(const std::string& method) {  // "Get", as Docker says it
        return method.substr(0, 1) + lower(method.substr(1));
    }

    void show_who_we_are() {
        const Trust& trust = transfer_.request.trust;
        if (trust.unverified) {
            set(CURLOPT_SSL_VERIFYPEER, 0L);
            set(CURLOPT_SSL_VERIFYHOST, 0L);
        }
        if (!trust.authorities.empty()) {
            curl_blob own{const_cast<char*>(trust.authorities.data()), trust.authorities.size(),
                          CURL_BLOB_NOCOPY};
            set(CURLOPT_CAINFO_BLOB, &own);
        }
        if (!trust.certificate.empty()) {
            set(CURLOPT_SSLCERT, trust.certificate.c_str());
            set(CURLOPT_SSLKEY, trust.key.c_str());
        }
    }

    void set_method() {
        const HttpRequest& request = transfer_.request;
        if (request.method == "HEAD") set(CURLOPT_NOBODY, 1L);
        if (request.body) {
            set(CURLOPT_UPLOAD, 1L);
            set(CURLOPT_INFILESIZE_LARGE, curl_off_t(transfer_.body_size()));
            set(CURLOPT_READFUNCTION, give_body);
            set(CURLOPT_READDATA, static_cast<void*>(&transfer_));
            set(CURLOPT_SEEKFUNCTION, seek_body);
            set(CURLOPT_SEEKDATA, static_cast<void*>(&transfer_));
        }
        if (request.method != "GET" && request.method != "HEAD")
            set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }

    void set_headers() {
        const HttpRequest& request = transfer_.request;
        for (const std::string& header : request.headers) add_header(header);
        if (!request.authorization.empty()) add_header("Authorization: " + request.authorization);
        if (request.body) {
            add_header("Expect:");  // not to wait a second for a "100 Continue" that few send
            if (!request.body->type.empty()) add_header("Content-Type: " + request.body->type);
        }
        set(CURLOPT_HTTPHEADER, headers_.get());
    }
    void add_header(const std::string& header) {
        curl_slist* const longer = curl().slist_append(headers_.get(), header.c_str());
        if (!longer) throw Error("out of memory");
        headers_.release();
        headers_.reset(longer);
    }

    Transfer transfer_;
    std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers_{nullptr, curl().slist_free_all};
    char why_[CURL_ERROR_SIZE] = "";
};

bool is_redirect(long status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// The same request, to where the answer leads.
void follow(HttpRequest& request, const HttpResponse& answer) {
    const Url from = parse_url(request.url);
    const Url to = resolve_url(from, answer.header("location"));
    const bool keeps_method = answer.status == 307 || answer.status == 308;
    if (request.body && !keeps_method)
        throw Error(request.method, " ", without_query(request.url), " is redirected to ",
                    without_query(to.text()), " (status ", answer.status, ")");
    if (to.scheme == "http" && !request.trust.plain_http)
        throw Error(without_query(request.url), " redirects to ", without_query(to.text()),
                    ", which is not reached by https");
    if (to.origin() != from.origin()) {
        request.authorization.clear();
        request.trust.certificate.clear();
        request.trust.key.clear();
    }
    request.url = to.text();
}

}  // namespace

// The last one that was given back is taken first: its connections are the least likely to have
// been closed.
class Http::Pool {
public:
    ~Pool() {
        for (CURL* handle : idle_) curl().easy_cleanup(handle);
    }
    CURL* take() {
        {
            const std::lock_guard one_thread(mutex_);
            if (!idle_.empty()) {
                CURL* const handle = idle_.back();
                idle_.pop_back();
                return handle;
            }
        }
        if (CURL* const handle = curl().easy_init()) return handle;
        throw Error("out of memory");
    }
    void give_back(CURL* handle) {
        curl().easy_reset(handle);  // its connections stay
        const std::lock_guard one_thread(mutex_);
        idle_.push_back(handle);
    }

private:
    std::mutex mutex_;
    std::vector<CURL*> idle_;
};

Http::Http() : pool_(std::make_unique<Pool>()) {}
Http::~Http() = default;

HttpResponse Http::send(HttpRequest request) {
    const auto give_back = [this](CURL* handle) { pool_->give_back(handle); };
    const std::unique_ptr<CURL, decltype(give_back)> handle(pool_->take(), give_back);
    for (int redirects = 0;; ++redirects) {
        if (redirects > 0) curl().easy_reset(handle.get());
        HttpResponse answer = Hop(handle.get(), request).perform();
        if (!is_redirect(answer.status) || answer.header("location").empty()) return answer;
        if (redirects == most_redirects)
            throw Error(without_query(request.url), ": more than ", most_redirects, " redirects");
        follow(request, answer);
    }
}
