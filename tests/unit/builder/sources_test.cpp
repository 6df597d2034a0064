// Proves what a word means that a build is to read from: which are repositories, what of a URL is a
// ref or a directory, how a file from the web is called, what a named context is.
#include "base/error.h"
#include "builder/source/context.h"
#include "builder/source/fetch.h"
#include "builder/source/git.h"
#include "tests/unit/catch.h"

TEST_CASE("a repository is known by its URL alone") {
    for (const char* typed : {"https://host/x.git", "http://host/x.git#main", "git://host/x",
                              "ssh://me@host/x", "git@host:x.git", "me@host.example:a/b",
                              "github.com/moby/buildkit", "https://host/x.git?ref=v1"}) {
        CAPTURE(typed);
        CHECK(parse_git_source(typed));
    }
    for (const char* typed :
         {"https://host/x", "https://host/x.git/f", "file:///x.git", "/x.git", "x.git", "git@host",
          "git@-oProxyCommand=x:y", "-o@host:x", "https://host/x?y=.git", "a b@host:x", ""}) {
        CAPTURE(typed);
        CHECK_FALSE(parse_git_source(typed));
    }
}

TEST_CASE("a fragment and a query say the same") {
    struct {
        const char *typed, *remote, *ref, *subdir;
    } cases[] = {
        {"https://host/x.git", "https://host/x.git", "", ""},
        {"https://host/x.git#v1:docs", "https://host/x.git", "v1", "docs"},
        {"https://host/x.git#:/a/../../b/", "https://host/x.git", "", "b"},
        {"https://host/x.git?ref=v1&subdir=docs", "https://host/x.git", "v1", "docs"},
        {"https://host/x.git?branch=v1", "https://host/x.git", "refs/heads/v1", ""},
        {"https://host/x.git?tag=v1#:docs", "https://host/x.git", "refs/tags/v1", "docs"},
        {"github.com/a/b#c", "https://github.com/a/b", "c", ""},
        {"git@host:a/b.git#c:d", "git@host:a/b.git", "c", "d"},
    };
    for (const auto& [typed, remote, ref, subdir] : cases) {
        CAPTURE(typed);
        const auto source = parse_git_source(typed);
        REQUIRE(source);
        CHECK(source->remote == remote);
        CHECK(source->ref == ref);
        CHECK(source->subdir == subdir);
    }
    CHECK(parse_git_source("https://host/x.git?keep-git-dir")->keep_git_dir);
    CHECK_FALSE(parse_git_source("https://host/x.git?submodules=false")->submodules);
    CHECK(parse_git_source("https://host/a/x.git")->name() == "x");
    for (const char* typed : {"https://host/x.git#-a", "https://host/x.git?a=b",
                              "https://host/x.git?ref=a#b", "https://host/x.git?keep-git-dir=often",
                              "https://host/x.git?checksum=zz", "ssh://-x/y", "git:///x"}) {
        CAPTURE(typed);
        CHECK_THROWS_AS(parse_git_source(typed), Error);
    }
}

TEST_CASE("a repository's key is its commit and what of it is taken") {
    const auto key = [](const char* typed, const char* commit) {
        return key_of_git(*parse_git_source(typed), commit);
    };
    CHECK(key("https://a/x.git", "1") == key("https://b/y.git#main", "1"));
    CHECK(key("https://a/x.git", "1") != key("https://a/x.git", "2"));
    CHECK(key("https://a/x.git", "1") != key("https://a/x.git#:b", "1"));
    CHECK(key("https://a/x.git", "1") != key("https://a/x.git?keep-git-dir=1", "1"));
}

TEST_CASE("a file from the web is called as its URL's path ends") {
    struct {
        const char *url, *name;
    } cases[] = {{"https://h/a/b.tar?x=/c#d", "b.tar"},
                 {"https://h/a%20b", "a b"},
                 {"https://h/a%2Fb", "b"},
                 {"https://h/%2e%2e", ""},
                 {"https://h/a/", ""},
                 {"https://h", ""},
                 {"https://h/a%zz", "a%zz"}};
    for (const auto& [url, name] : cases) {
        CAPTURE(url);
        CHECK(file_name_in(url) == name);
    }
}

TEST_CASE("a named context is a tree, an image or a layout") {
    using Kind = NamedContext::Kind;
    CHECK(parse_named_context("a=.").kind == Kind::tree);
    CHECK(parse_named_context("docker.io/library/alpine:latest=.").name == "alpine");
    CHECK(parse_named_context("alpine:3=docker-image://debian").name == "alpine:3");
    CHECK(parse_named_context("a=docker-image://debian:12").value == "debian:12");
    CHECK(parse_named_context("a=docker-image://debian").kind == Kind::image);
    CHECK(parse_named_context("a=oci-layout://.:1").kind == Kind::layout);
    CHECK(parse_named_context("a=https://h/x.git#b").kind == Kind::tree);
    for (const char* typed : {"a", "=b", "a=", "a=/nowhere", "a=-", "a=oci-layout:///nowhere",
                              "a=docker-image://UPPER"}) {
        CAPTURE(typed);
        CHECK_THROWS_AS(parse_named_context(typed), Error);
    }
}
