// index.json is read in two ways, a line at a time and as JSON, and must mean the same in both.
#include "image/names.h"

#include <algorithm>

#include "base/error.h"
#include "image/store.h"
#include "tests/unit/catch.h"
#include "tests/unit/scratch.h"

namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;  // name, descriptor

std::string name_in(const spec::Descriptor& entry) {
    const auto found = entry.annotations.find("org.opencontainers.image.ref.name");
    return found == entry.annotations.end() ? "" : found->second;
}

// What the text means to a reader of JSON; nothing: it is no index.
std::optional<Entries> as_json(const std::string& text) try {
    Entries out;
    for (const spec::Descriptor& entry : spec::read_index(text).manifests)
        out.emplace_back(name_in(entry), spec::write(entry));
    return out;
} catch (const Error&) {
    return {};
}

std::optional<Entries> as_table(const std::string& text) try {
    Entries out;
    const NameTable table(text);
    for (const NameTable::Entry& entry : table.entries()) {
        const spec::Descriptor descriptor = entry.descriptor();
        CHECK(entry.digest == descriptor.digest);
        out.emplace_back(entry.name, spec::write(descriptor));
    }
    return out;
} catch (const Error&) {
    return {};
}

std::string digest(char digit) { return "sha256:" + std::string(64, digit); }

std::string index_of(std::string_view manifests, std::string_view more = "") {
    return str(R"({"schemaVersion":2,"manifests":[)", manifests, "]", more, "}");
}

std::string entry(char digit, std::string_view annotations) {
    return str(R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")",
               digest(digit), R"(","size":7,"annotations":{)", annotations, "}}");
}

std::string named(char digit, std::string_view name) {
    return entry(digit, str(R"("org.opencontainers.image.ref.name":")", name, "\""));
}

struct NameStore {
    NameStore() : store(scratch.path + "/store") {}
    spec::Descriptor image(std::string_view text) const {
        return store.put_blob(text, spec::media::manifest);
    }
    std::string text() const { return read_file(store.root() + "/index.json"); }
    void write(const std::string& text) const { write_file(store.root() + "/index.json", text); }
    // NAME=DIGEST, as listed.
    std::vector<std::string> names() const {
        std::vector<std::string> out;
        for (const NamedImage& image : store.images())
            out.push_back(str(image.name ? image.name->familiar() : "-", "=",
                              image.descriptor.digest.substr(7, 2)));
        return out;
    }
    Scratch scratch;
    Store store;
};

}  // namespace

TEST_CASE("keg writes an entry a line, which is an index to any reader") {
    const NameStore s;
    const spec::Descriptor one = s.image("{}"), two = s.image("{ }");
    s.store.tag(one, parse_reference("a"));
    s.store.tag(two, parse_reference("b:1"));
    s.store.tag(two, std::nullopt);  // it has a name: no entry more
    const std::string text = s.text();
    CHECK(std::ranges::count(text, '\n') == 4);
    CHECK(as_json(text) == as_table(text));
    CHECK(as_json(text)->size() == 2);
    CHECK(as_json(text)->front().first == "b:1");
    CHECK(NameTable(text).text_with(NameTable(text).entries()) == text);
}

TEST_CASE("what another tool wrote means the same, and is kept when keg changes it") {
    const NameStore s;
    const spec::Descriptor ours = s.image("{}");
    const std::string texts[] = {
        index_of(""),
        index_of(named('a', "app:latest")),
        index_of(str("\n  ", named('a', "app:latest"), ",\n  ", named('b', "odd name"), "\n")),
        index_of(named('a', R"(\u0061pp:latest)")),
        index_of(named('a', "caf\u00e9")),
        index_of(named('a', R"(tab\tquote\"back\\slash)")),
        index_of(entry('a', R"("a":"1","org.opencontainers.image.ref.name":"app:latest","z":"")")),
        index_of(R"({"size":7,"digest":"test:abc","mediaType":"a/b","unknown":{"a":[1]}})"),
        index_of(named('a', "x"), R"(,"annotations":{"k":"v\n"},"artifactType":"a/b")"),
        index_of(named('a', "x"), R"(,"mediaType":"application/vnd.oci.image.index.v1+json")"),
        index_of(named('a', "x"), str(R"(,"subject":)", named('b', "y"))),
        str(" \t", index_of(named('a', "x")), "\n\n"),
    };
    for (const std::string& text : texts) {
        INFO(text);
        REQUIRE(as_json(text));
        CHECK(as_table(text) == as_json(text));
        s.write(text);
        s.store.tag(ours, parse_reference("ours"));
        s.store.untag(parse_reference("ours"));
        CHECK(as_json(s.text()) == as_json(text));
        CHECK(as_table(s.text()) == as_json(text));
        const spec::Index before = spec::read_index(text), after = spec::read_index(s.text());
        CHECK(after.annotations == before.annotations);
        CHECK(after.artifact_type == before.artifact_type);
        CHECK(after.subject.has_value() == before.subject.has_value());
    }
}

TEST_CASE("a name that stands elsewhere in the text is no name") {
    const NameStore s;
    const spec::Descriptor ours = s.image("{}");
    const std::string hidden = R"("org.opencontainers.image.ref.name":"evil:latest")";
    const std::string texts[] = {
        index_of(entry('a', R"("note":"\"org.opencontainers.image.ref.name\":\"evil:latest\"")")),
        index_of(str(R"({"mediaType":"a/b","digest":")", digest('a'), R"(","size":7,"x":{)", hidden,
                     "}}")),
        index_of("", str(R"(,"annotations":{)", hidden, "}")),
        index_of(named('a', R"(evil:latest\u0041)")),
    };
    for (const std::string& text : texts) {
        INFO(text);
        s.write(text);
        CHECK(!s.store.find("evil"));
        s.store.tag(ours, parse_reference("ours"));  // and in our form
        CHECK(!s.store.find("evil"));
        CHECK(s.store.find("ours"));
    }
}

TEST_CASE("no text is read that a reader of JSON would refuse, and none otherwise than he does") {
    const NameTable table(index_of(
        str(named('a', "app:latest"), ",", named('b', R"(a\tb)"), ",", entry('c', R"("k":"v")"))));
    const std::string whole = table.text_with(table.entries());
    CHECK(as_table(table.text_with({})) == Entries());
    REQUIRE(as_table(whole)->size() == 3);
    size_t refused = 0;
    const auto same = [&](const std::string& text) {
        const auto json = as_json(text), lines = as_table(text);
        refused += !json;
        if (json == lines) return;
        FAIL_CHECK(text);
    };
    for (size_t at = 0; at <= whole.size(); ++at) {
        same(whole.substr(0, at));
        if (at == whole.size()) break;
        same(whole.substr(0, at) + whole.substr(at + 1));
        for (const char wrong : std::string_view("\"\\,:{}[]\n 0-9aA\x01\x80", 17)) {
            std::string text = whole;
            text[at] = wrong;
            same(text);
            same(whole.substr(0, at) + wrong + whole.substr(at));
        }
    }
    CHECK(refused > whole.size());
    const std::string line = str(named('a', "app:latest"), "\n");
    for (const std::string& more :
         {"," + line, line, "]," + line, "[" + line, line + "]", str(line, "],\"x\":[\n")})
        for (size_t at = 0; (at = whole.find('\n', at)) != std::string::npos; ++at)
            same(whole.substr(0, at + 1) + more + whole.substr(at + 1));
}

TEST_CASE("a repository's digest is found under whatever tag has it") {
    const NameStore s;
    const spec::Descriptor one = s.image("{}"), two = s.image("{ }");
    s.store.tag(one, parse_reference("app:1"));
    s.store.tag(two, parse_reference("other:1"));
    REQUIRE(s.store.find("app@" + one.digest));
    CHECK(s.store.find("app@" + one.digest)->descriptor.digest == one.digest);
    CHECK(!s.store.find("app@" + two.digest));
}

TEST_CASE("a name is found, moved and taken in whatever form another tool wrote it") {
    for (const char* form : {"app", "app:latest", "docker.io/library/app",
                             "index.docker.io/app:latest", "docker.io/library/app:latest"}) {
        INFO(form);
        const NameStore s;
        const spec::Descriptor ours = s.image("{}"), theirs = s.image("{ }");
        std::string line = spec::write(theirs);
        line.insert(line.size() - 1,
                    str(R"(,"annotations":{"org.opencontainers.image.ref.name":")", form, "\"}"));
        s.write(index_of(line));
        REQUIRE(s.store.find("app"));
        CHECK(s.store.find("app")->descriptor.digest == theirs.digest);
        CHECK(!s.store.find("other/app"));
        CHECK(!s.store.find("app:1"));
        CHECK(s.store.names_of(theirs).size() == 1);
        s.store.tag(ours, parse_reference("app"));
        CHECK(s.names() == std::vector{"app:latest=" + ours.digest.substr(7, 2),
                                       "-=" + theirs.digest.substr(7, 2)});
        s.write(index_of(line));
        s.store.untag(parse_reference("app"));
        CHECK(s.names().empty());
        CHECK_THROWS_AS(s.store.untag(parse_reference("app")), Error);
    }
}

TEST_CASE("names are given one after the other, and what loses its last one is dangling") {
    const NameStore s;
    const spec::Descriptor one = s.image("{}"), two = s.image("{ }");
    const std::string first = one.digest.substr(7, 2), second = two.digest.substr(7, 2);
    const Reference a = parse_reference("a"), b = parse_reference("b");
    s.store.tag(std::vector<Naming>{{one, a}, {two, a}, {one, b}});
    CHECK(s.names() == std::vector{"b:latest=" + first, "a:latest=" + second});
    s.store.tag(std::vector<Naming>{{one, a}});
    CHECK(s.names() == std::vector{"a:latest=" + first, "-=" + second, "b:latest=" + first});
    s.store.tag(two, std::nullopt);
    CHECK(s.names() == std::vector{"-=" + second, "a:latest=" + first, "b:latest=" + first});
    s.store.tag(two, a);
    CHECK(s.names() == std::vector{"a:latest=" + second, "b:latest=" + first});
    s.store.remove(one);
    CHECK(s.names() == std::vector{"a:latest=" + second});
}
