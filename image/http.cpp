// libcurl brings thirty libraries, whose loading is a sixth of a whole `keg run`: it is loaded when
// the first request is made, and its functions are called through this table.

#include "image/http.h"

#include <curl/curl.h>

#include <exception>
#include <memory>

#include "base/shared_library.h"

namespace {

struct Curl : SharedLibrary {
    decltype(&::curl_global_init) global_init = find<decltype(global_init)>("curl_global_init");
    decltype(&::curl_easy_init) easy_init = find<decltype(easy_init)>("curl_easy_init");
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

struct Transfer {
    const HttpRequest& request;
    CURL* handle;
    HttpResponse response;
    std::exception_ptr error;  // of the sink: an exception must not pass through C
};

size_t take_header(char* data, size_t, size_t count, void* user) try {
    auto& response = static_cast<Transfer*>(user)->response;
    const std::string_view line(data, count);
    if (line.starts_with("HTTP/")) response.headers.clear();  // the answer behind a redirect
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && response.headers.size() < 200)
        response.headers.emplace(lower(std::string(line.substr(0, colon))),
                                 trim(line.substr(colon + 1)));
    return count;
} catch (...) {
    return 0;
}

size_t take_body(char* data, size_t, size_t count, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    try {
        long status = 0;
        curl().easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &status);
        if (transfer.request.sink && status / 100 == 2) {
            transfer.response.status = status;
            transfer.request.sink(transfer.response, {data, count});
        } else {
            if (transfer.response.body.size() + count > transfer.request.most_body)
                throw Error("the answer of ", transfer.request.url, " is too large");
            transfer.response.body.append(data, count);
        }
        return count;
    } catch (...) {
        transfer.error = std::current_exception();
        return 0;
    }
}

}  // namespace

HttpResponse http_get(const HttpRequest& request) {
    const std::unique_ptr<CURL, void (*)(CURL*)> handle(curl().easy_init(), curl().easy_cleanup);
    if (!handle) throw Error("out of memory");
    curl_slist* list = nullptr;
    for (const std::string& header : request.headers)
        list = curl().slist_append(list, header.c_str());
    const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(list, curl().slist_free_all);
    Transfer transfer{request, handle.get(), {}, {}};
    char why[CURL_ERROR_SIZE] = "";
    const auto set = [&](CURLoption option, auto value) {
        curl().easy_setopt(handle.get(), option, value);
    };
    const char* const protocols = request.plain_http ? "http,https" : "https";
    set(CURLOPT_URL, request.url.c_str());
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_USERAGENT, "keg");
    set(CURLOPT_PROTOCOLS_STR, protocols);
    set(CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, 10L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT, 30L);
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);  // a minute without a byte: the server is gone
    set(CURLOPT_LOW_SPEED_TIME, 60L);
    set(CURLOPT_BUFFERSIZE, 256L << 10);
    set(CURLOPT_ERRORBUFFER, static_cast<char*>(why));
    set(CURLOPT_HEADERFUNCTION, take_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
    set(CURLOPT_WRITEFUNCTION, take_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
    const CURLcode code = curl().easy_perform(handle.get());
    if (transfer.error) std::rethrow_exception(transfer.error);
    if (code != CURLE_OK)
        throw TransportError("Get ", ::quoted(request.url), ": ",
                             *why ? why : curl().easy_strerror(code))
            .because(code == CURLE_SSL_CONNECT_ERROR);
    curl().easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &transfer.response.status);
    return std::move(transfer.response);
}
