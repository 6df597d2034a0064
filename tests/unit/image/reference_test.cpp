// Proves the grammar of image names. What is hard to get right is where a domain ends:
// "localhost/app" and "Registry/app" begin with one, "grafana/grafana" does not.
#include "image/reference.h"

#include "base/error.h"
#include "tests/unit/catch.h"

namespace {
const std::string some_digest = "sha256:" + std::string(64, 'a');
}

TEST_CASE("short names are completed as Docker does") {
    struct {
        const char* typed;
        const char *canonical, *familiar;
    } cases[] = {
        {"alpine", "docker.io/library/alpine:latest", "alpine:latest"},
        {"alpine:3.19", "docker.io/library/alpine:3.19", "alpine:3.19"},
        {"docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
        {"docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
        {"index.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
        {"grafana/grafana", "docker.io/grafana/grafana:latest", "grafana/grafana:latest"},
        {"library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
        {"localhost/app", "localhost/app:latest", "localhost/app:latest"},
        {"localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"},
        {"ghcr.io/a/b/c:1_x.y-z", "ghcr.io/a/b/c:1_x.y-z", "ghcr.io/a/b/c:1_x.y-z"},
        {"Registry/app", "Registry/app:latest", "Registry/app:latest"},
        {"docker.io/a.b/app", "docker.io/a.b/app:latest", "docker.io/a.b/app:latest"},
        {"docker.io/localhost/app", "docker.io/localhost/app:latest",
         "docker.io/localhost/app:latest"},
        {"[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"},
        {"a__b/c-----d.e", "docker.io/a__b/c-----d.e:latest", "a__b/c-----d.e:latest"},
    };
    for (auto& [typed, canonical, familiar] : cases) {
        CAPTURE(typed);
        CHECK(parse_reference(typed).canonical() == canonical);
        CHECK(parse_reference(typed).familiar() == familiar);
    }
}

TEST_CASE("a digest stands beside a tag or instead of it") {
    CHECK(parse_reference("alpine@" + some_digest).canonical() ==
          "docker.io/library/alpine@" + some_digest);
    CHECK(parse_reference("alpine:3@" + some_digest).canonical() ==
          "docker.io/library/alpine:3@" + some_digest);
}

TEST_CASE("names outside the grammar are refused in Docker's words") {
    struct {
        std::string typed, why;  // "": what it is outside of is the grammar
    } cases[] = {
        {"", ""},
        {"App", "invalid reference format: repository name (library/App) must be lowercase"},
        {"hello:", ""},
        {"hello:a/b:c d", ""},
        {":tag", ""},
        {"a//b", ""},
        {"/a", ""},
        {"a/", ""},
        {"a/../b", ""},
        {"-a", ""},
        {"a..b", ""},
        {"a___b", ""},
        {"a_-b", ""},
        {"host:port/a", ""},
        {"-host.x/a", ""},
        {"a@sha256:abc", ""},
        {"a@md5:" + std::string(32, 'a'), ""},
        {"a:" + std::string(129, 't'), ""},
        {"a b", ""},
        {"a\nb", ""},
        {std::string("a\0b", 3), ""},
        {std::string(64, 'a'), "invalid repository name (" + std::string(64, 'a') +
                                   "), cannot specify 64-byte hexadecimal strings"},
        {"x/" + std::string(256, 'a'),
         "invalid reference format: repository name must not be more than 255 characters"},
    };
    for (auto& [typed, why] : cases) {
        CAPTURE(typed);
        if (why.empty()) why = "invalid reference format: " + quoted(typed);
        std::string said = "nothing";
        try {
            parse_reference(typed);
        } catch (const Error& e) {
            said = e.what();
        }
        CHECK(said == why);
    }
}
