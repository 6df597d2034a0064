// What a registry's client reads of others: challenges, files of credentials, registries.conf, and
// the small forms beside them.
#include "image/layer/encoder.h"
#include "image/registry/challenge.h"
#include "image/registry/credentials.h"
#include "image/registry/hosts.h"
#include "image/registry/login.h"
#include "image/registry/pages.h"
#include "image/registry/refusal.h"
#include "image/registry/retry.h"
#include "image/registry/url.h"
#include "image/subject.h"
#include "tests/unit/catch.h"

using namespace std::chrono_literals;

namespace {

std::string challenges_of(std::string_view header) {
    std::string out;
    for (const Challenge& challenge : parse_challenges(header)) {
        out += str(out.empty() ? "" : " | ", challenge.scheme);
        for (const auto& [name, value] : challenge.values) out += str(" ", name, "=<", value, ">");
    }
    return out;
}

// "user:password", "helper NAME", or "".
std::string found_in(const char* file, std::string_view repository) {
    const AuthEntry entry = find_entry(json::parse(file), repository);
    if (!entry.helper.empty()) return "helper " + entry.helper;
    return entry.credentials.empty() ? ""
                                     : entry.credentials.user + ":" + entry.credentials.password;
}

// Who is asked, in order: "HOST/REPOSITORY", with "!" if anything is believed of it.
std::string places_of(std::string_view config, std::string_view image) {
    Hosts hosts;
    hosts.add(config, "x.conf");
    std::string out;
    for (const Place& place : hosts.to_pull(parse_reference(image)))
        out += str(out.empty() ? "" : " ", place.host, "/", place.repository,
                   place.trust.unverified ? "!" : "");
    return out;
}

}  // namespace

TEST_CASE("challenges are told apart, however they are written") {
    CHECK(challenges_of(R"(Bearer realm="https://a/b?c=d",service="x, y",scope="r:a:pull,push")") ==
          "bearer realm=<https://a/b?c=d> scope=<r:a:pull,push> service=<x, y>");
    CHECK(challenges_of(R"(Basic realm="a", Bearer realm="b", error = "insufficient_scope")") ==
          "basic realm=<a> | bearer error=<insufficient_scope> realm=<b>");
    CHECK(challenges_of(R"(bearer realm=https://a/b,service=c)") ==
          "bearer realm=<https://a/b> service=<c>");
    CHECK(challenges_of(R"(Negotiate, Basic realm="say \"friend\"")") ==
          R"(negotiate | basic realm=<say "friend">)");
    CHECK(challenges_of(R"(Negotiate YWJj==, Basic)") == "negotiate ywjj=<=> | basic");
}

TEST_CASE("the next page of a list is where the Link says, on the same machine") {
    const auto behind = [](std::multimap<std::string, std::string> headers) {
        return next_page({.status = 200,
                          .headers = std::move(headers),
                          .url = "https://a.example.com/v2/app/tags/list?n=2"});
    };
    const std::string here = "https://a.example.com";
    struct {
        std::string link, path;
    } cases[] = {
        {R"(</v2/app/tags/list?n=2&last=b>; rel="next")", "/v2/app/tags/list?n=2&last=b"},
        {R"(<list?last=b>;rel=next)", "/v2/app/tags/list?last=b"},
        {R"(<?last=a,b>; title="x;,y"; rel="prev NEXT")", "/v2/app/tags/list?last=a,b"},
        {R"(</first>; rel="first", </next>; REL = "next")", "/next"},
        {R"(<http://b.example.com/v2/x?y>; rel="next")", "/v2/x?y"},
    };
    for (const auto& [link, path] : cases) {
        CAPTURE(link);
        CHECK(behind({{"link", link}}) == here + path);
    }
    CHECK(behind({{"link", R"(</a>; rel="first")"}, {"link", R"(</b>; rel="next")"}}) ==
          here + "/b");
}

TEST_CASE("without a Link to a next page a list has ended") {
    for (const char* const link :
         {"", "</a>", R"(</a>; rel="prev")", R"(</a; rel="next")", R"(rel="next")",
          R"(</a>; title="rel=next")", "</a>; rel", "</a>;;;=", R"(</a>; rel="nex)"}) {
        CAPTURE(link);
        CHECK(next_page({.status = 200, .headers = {{"link", link}}, .url = "https://a/"}) == "");
    }
}

TEST_CASE("what a document refers to is its subject, and what has none refers to nothing") {
    const std::string digest = "sha256:" + std::string(64, 'a');
    CHECK(subject_of(R"({"subject":{"digest":")" + digest + R"("}})") == digest);
    for (const char* const text :
         {"", "{", "[]", "{}", R"({"subject":null})", R"({"subject":{"digest":7}})",
          R"({"subject":{"digest":"sha256:../x"}})", R"({"subject":{"digest":"blake3:aa"}})"}) {
        CAPTURE(text);
        CHECK(subject_of(text) == "");
    }
    CHECK(tag_of_referrers(digest) == "sha256-" + std::string(64, 'a'));
    CHECK(tag_of_referrers("sha512:" + std::string(128, 'a')) == "sha512-" + std::string(64, 'a'));
}

TEST_CASE("malformed challenges end, and nothing is made up of them") {
    CHECK(challenges_of("") == "");
    CHECK(challenges_of(",,, ,") == "");
    CHECK(challenges_of("realm=\"x\"") == "");
    CHECK(challenges_of("Bearer realm=\"never closed") == "bearer realm=<never closed>");
    CHECK(challenges_of("Bearer realm=") == "bearer realm=<>");
    CHECK(challenges_of("Bearer =x") == "");
    CHECK(challenges_of("Bearer realm=\"x\\") == "bearer realm=<x\\>");
}

TEST_CASE("a password is looked for under the longest name first") {
    const char* const file = R"({"auths": {
        "quay.io": {"auth": "YTph"}, "quay.io/lib": {"auth": "Yjpi"},
        "quay.io/lib/app": {"auth": "Yzpj"},
        "https://old.example.com/v1/": {"auth": "ZDpkOmQ="}, "marker.example.com": {}}})";
    CHECK(found_in(file, "quay.io/lib/app") == "c:c");
    CHECK(found_in(file, "quay.io/lib/other") == "b:b");
    CHECK(found_in(file, "quay.io/library/app") == "a:a");
    CHECK(found_in(file, "quay.io") == "a:a");
    CHECK(found_in(file, "old.example.com/x") == "d:d:d");
    CHECK(found_in(file, "marker.example.com/x") == "");
    CHECK(found_in(file, "quay.io.example.com/x") == "");
    CHECK(found_in("{}", "quay.io/x") == "");
    CHECK(found_in(R"({"auths": []})", "quay.io/x") == "");
    CHECK(found_in(R"({"auths": {"quay.io": {"auth": "?"}}})", "quay.io/x") == "");
}

TEST_CASE("Docker Hub has many names") {
    for (const char* const key :
         {"docker.io", "index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"}) {
        const std::string file = str(R"({"auths": {")", key, R"(": {"auth": "YTph"}}})");
        CHECK(found_in(file.c_str(), "docker.io/library/alpine") == "a:a");
    }
    CHECK(server_name("docker.io") == "https://index.docker.io/v1/");
    CHECK(server_name("quay.io") == "quay.io");
    CHECK(registry_of("") == "docker.io");
    CHECK(registry_of("https://index.docker.io/v1/") == "docker.io");
    CHECK(registry_of("https://quay.io/v2/") == "quay.io");
}

TEST_CASE("a helper for one registry comes before the one for all, and both before a password") {
    const char* const file =
        R"({"credHelpers": {"quay.io": "one"}, "credsStore": "all",
            "auths": {"quay.io": {"auth": "YTph"}}})";
    CHECK(found_in(file, "quay.io/x") == "helper one");
    CHECK(found_in(file, "example.com/x") == "helper all");
}

TEST_CASE("of registries.conf the longest prefix has the word") {
    const std::string_view config = R"(
        unqualified-search-registries = ["docker.io"]
        [[registry]]
        location = "quay.io"
        [[registry.mirror]]
        location = "m1.example.com"
        [[registry]]
        prefix = "quay.io/lib"
        location = "in.example.com/here"
        insecure = true
        [[registry]]
        prefix = "*.wild.example.com"
        insecure = true
        [[registry]]
        prefix = "docker.io/library"
        location = "docker.io/library"
        [[registry.mirror]]
        location = "mirror.example.com:5000/hub/"
        insecure = true
        [[registry.mirror]]
        location = "by-digest.example.com"
        pull-from-mirror = "digest-only"
    )";
    CHECK(places_of(config, "example.com/a") == "example.com/a");
    CHECK(places_of(config, "quay.io/a/b") == "m1.example.com/a/b quay.io/a/b");
    CHECK(places_of(config, "quay.io/lib/b") == "in.example.com/here/b!");
    CHECK(places_of(config, "quay.io/library") == "m1.example.com/library quay.io/library");
    CHECK(places_of(config, "a.wild.example.com/x") == "a.wild.example.com/x!");
    CHECK(places_of(config, "wild.example.com/x") == "wild.example.com/x");
    CHECK(places_of(config, "alpine") ==
          "mirror.example.com:5000/hub/alpine! registry-1.docker.io/library/alpine");
    CHECK(places_of(config, "alpine@sha256:" + std::string(64, '0')) ==
          "mirror.example.com:5000/hub/alpine! by-digest.example.com/alpine "
          "registry-1.docker.io/library/alpine");
}

TEST_CASE("a later file replaces the rule of the same prefix") {
    Hosts hosts;
    hosts.add("[[registry]]\nlocation = \"quay.io\"\nblocked = true\n", "a");
    CHECK_THROWS_WITH(hosts.to_pull(parse_reference("quay.io/x")),
                      "registry quay.io is blocked in a");
    hosts.add("[[registry]]\nlocation = \"quay.io\"\n", "b");
    CHECK(hosts.to_push(parse_reference("quay.io/x")).host == "quay.io");
    CHECK_THROWS_WITH(hosts.add("[[registry]]\nblocked = true\n", "c"),
                      "c: a registry has neither prefix nor location");
}

TEST_CASE("plain HTTP is for this machine, unless somebody says otherwise") {
    const auto is_plain = [](const char* image) {
        return Hosts().to_push(parse_reference(image)).trust.plain_http;
    };
    CHECK(is_plain("localhost:5000/a"));
    CHECK(is_plain("127.0.0.1/a"));
    CHECK_FALSE(is_plain("quay.io/a"));
    CHECK_FALSE(is_plain("127.0.0.1.example.com/a"));
    CHECK_FALSE(is_plain("localhost.example.com/a"));
}

TEST_CASE("two URLs are of one origin whatever they leave out") {
    const auto origin = [](const char* url) { return parse_url(url).origin(); };
    CHECK(origin("HTTPS://A/b") == origin("https://a:443/c?d"));
    CHECK(origin("http://a") != origin("https://a"));
    CHECK(origin("https://a:444/") != origin("https://a/"));
    CHECK(origin("https://[::1]/") == origin("https://[::1]:443/"));
    CHECK(origin("https://a#b@c/") == origin("https://a/"));
    for (const char* const bad :
         {"ftp://a/", "a/b", "https:///x", "https://user@a/", "https://a b/"})
        CHECK_THROWS_AS(parse_url(bad), Error);
}

TEST_CASE("a location is read from where it came") {
    const Url base = parse_url("https://a:5000/v2/x/blobs/uploads/?q=1");
    const auto leads = [&](const char* location) { return resolve_url(base, location).text(); };
    CHECK(leads("/u/1?state=/x") == "https://a:5000/u/1?state=/x");
    CHECK(leads("1?s") == "https://a:5000/v2/x/blobs/uploads/1?s");
    CHECK(leads("?s") == "https://a:5000/v2/x/blobs/uploads/?s");
    CHECK(leads("//b/c") == "https://b/c");
    CHECK(leads("http://b/c") == "http://b/c");
    CHECK(leads("/c?to=http://b/") == "https://a:5000/c?to=http://b/");
    CHECK(with_parameter("https://a/b?c=d", "digest", "sha256:e") ==
          "https://a/b?c=d&digest=sha256%3Ae");
    CHECK(without_query("https://a/b?signature=secret") == "https://a/b");
}

TEST_CASE("Retry-After is a number of seconds or a date") {
    const auto now = std::chrono::system_clock::from_time_t(784111777);
    CHECK(parse_retry_after("120", now) == 120s);
    CHECK(parse_retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now) == 10s);
    CHECK(parse_retry_after("Sun, 06 Nov 1994 08:49:07 GMT", now) == 0s);
    for (const char* const bad : {"", "soon", "-1", "1.5", "Sun, 06 Nov 1994 08:49:47 GMT!"})
        CHECK(parse_retry_after(bad, now) == std::nullopt);
}

TEST_CASE("a refusal has the registry's words, or those of its status") {
    const auto text = [](long status, const char* body) {
        return refusal_of({.status = status, .headers = {}, .body = body}).text();
    };
    CHECK(text(403, R"({"errors":[{"code":"DENIED","message":"not you"}]})") == "denied: not you");
    CHECK(text(404, R"({"errors":[{"code":"MANIFEST_UNKNOWN"}]})") ==
          "manifest unknown: manifest unknown");
    CHECK(text(403, R"({"errors":[]})") == "denied: requested access to the resource is denied");
    CHECK(text(401, "") == "unauthorized: authentication required");
    CHECK(text(418, "<html>") == "unknown: unexpected status 418");
    CHECK(refusal_of({.status = 200, .headers = {}, .body = " <!doctype html>"}).page ==
          "text/html");
}

TEST_CASE("a compression has the levels that it has") {
    CHECK(parse_compression("gzip", 0).text() == "gzip-2");
    CHECK(Compression{}.text() == "gzip-2");  // what nobody chose is the same
    CHECK(parse_compression("gzip", 9).text() == "gzip-9");
    CHECK(parse_compression("zstd", 22).text() == "zstd-22");
    CHECK(parse_compression("none", 5).text() == "none");
    CHECK_THROWS_WITH(parse_compression("gzip", 10),
                      "compression level 10 of gzip: must be from 1 to 9");
    CHECK_THROWS_WITH(parse_compression("xz", 0),
                      "unknown compression \"xz\"; known are gzip, zstd, none");
}
