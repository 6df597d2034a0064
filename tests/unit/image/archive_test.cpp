// Proves that what others wrote is loaded and that a bad archive leaves no image behind. No tool
// writes the bad ones, so the archives are made here byte by byte.
#include "image/archive.h"

#include <fcntl.h>

#include <cstdlib>

#include "base/json.h"
#include "base/sys.h"
#include "image/changes.h"
#include "image/platform.h"
#include "tests/unit/catch.h"
#include "tests/unit/damage.h"

namespace {

// A store in a directory of its own.
struct Scratch {
    std::string directory;
    Scratch() {
        char name[] = "/tmp/keg-test-XXXXXX";
        directory = ::mkdtemp(name);
    }
    ~Scratch() { sys::remove_tree(directory); }
    Store store() const { return Store(directory + "/store"); }
    // A file to read, from bytes.
    UniqueFd file(std::string_view data) const {
        write_file(directory + "/input", data);
        return sys::open(directory + "/input", O_RDONLY);
    }
};

struct Entry {
    std::string name, data;
    char type = '0';
    std::string link = {};
};

// A ustar archive, without the marks that end it if it shall be cut off.
std::string tar(const std::vector<Entry>& entries, bool whole = true) {
    std::string out;
    for (const Entry& entry : entries) {
        std::string header(512, '\0');
        const auto put = [&](size_t at, const std::string& text) {
            header.replace(at, text.size(), text);
        };
        char size[12];
        std::snprintf(size, sizeof size, "%011zo", entry.data.size());
        put(0, entry.name);
        put(100, "0000644");
        put(108, "0000000");
        put(116, "0000000");
        put(124, size);
        put(136, "00000000000");
        put(148, "        ");
        put(156, std::string(1, entry.type));
        put(157, entry.link);
        put(257, std::string("ustar\0"
                             "00",
                             8));
        unsigned sum = 0;
        for (const char c : header) sum += static_cast<unsigned char>(c);
        char checksum[8];
        std::snprintf(checksum, sizeof checksum, "%06o", sum);
        put(148, checksum);
        out += header + entry.data + std::string((512 - entry.data.size() % 512) % 512, '\0');
    }
    return whole ? out + std::string(1024, '\0') : out;
}

const std::string layer = tar({{"hello", "world\n"}});

std::string config(const std::string& diff_id) {
    return R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[")" +
           diff_id + "\"]}}";
}

// As docker before 25 wrote it.
std::vector<Entry> docker_archive(const std::string& tags = R"(["hello:stable"])") {
    return {{"one/layer.tar", layer},
            {"config.json", config(digest_of(layer).text())},
            {"manifest.json", R"([{"Config":"config.json","RepoTags":)" + tags +
                                  R"(,"Layers":["one/layer.tar"]}])"}};
}

std::string error_of(const std::vector<Entry>& entries, bool whole = true) {
    const Scratch scratch;
    try {
        load_archive(scratch.store(), scratch.file(tar(entries, whole)).get(),
                     TrustPolicy::anything());
    } catch (const Error& e) {
        CHECK(scratch.store().images().empty());
        return e.what();
    }
    return "loaded";
}

}  // namespace

TEST_CASE("a docker-archive is loaded under its names") {
    const Scratch scratch;
    const Store store = scratch.store();
    const auto loaded =
        load_archive(store, scratch.file(tar(docker_archive())).get(), TrustPolicy::anything());
    REQUIRE(loaded.size() == 1);
    CHECK(loaded[0].names == std::vector<std::string>{"hello:stable"});
    CHECK(loaded[0].id == digest_of(config(digest_of(layer).text())));
    CHECK(store.load(store.get("hello:stable").descriptor).id() == loaded[0].id);
}

TEST_CASE("a layer may be a link to another image's, as docker wrote it") {
    auto entries = docker_archive();
    entries[0].name = "two/layer.tar";
    entries.push_back({"one/layer.tar", "", '2', "../two/layer.tar"});
    CHECK(error_of(entries) == "loaded");
}

TEST_CASE("what is saved is loaded again as the same image") {
    const Scratch scratch;
    const Store store = scratch.store();
    load_archive(store, scratch.file(tar(docker_archive())).get(), TrustPolicy::anything());
    for (const ArchiveFormat format : {ArchiveFormat::docker, ArchiveFormat::oci}) {
        const Scratch other;
        const UniqueFd archive = sys::open(other.directory + "/saved", O_RDWR | O_CREAT, 0600);
        save_archive(store, {"hello:stable"}, format, archive.get());
        ::lseek(archive.get(), 0, SEEK_SET);
        const Store again = other.store();
        const auto loaded = load_archive(again, archive.get(), TrustPolicy::anything());
        REQUIRE(loaded.size() == 1);
        CHECK(loaded[0].names == std::vector<std::string>{"hello:stable"});
        CHECK(again.get("hello:stable").descriptor.digest ==
              store.get("hello:stable").descriptor.digest);
    }
}

TEST_CASE("bad archives are refused and leave no image") {
    const auto replaced = [](size_t at, Entry entry) {
        auto entries = docker_archive();
        entries[at] = std::move(entry);
        return entries;
    };
    const auto with = [](Entry entry) {
        auto entries = docker_archive();
        entries.push_back(std::move(entry));
        return entries;
    };
    const std::string wrong = "sha256:" + std::string(64, '0');
    struct {
        std::vector<Entry> entries;
        const char* why;
    } cases[] = {
        {{}, "neither manifest.json nor index.json"},
        {{{"readme", "hello"}}, "neither manifest.json nor index.json"},
        {with({"../../etc/x", "y"}), "leads out of it"},
        {with({"/etc/x", "y"}), "leads out of it"},
        {with({"a/b", "", '2', "../../../x"}), "leads out of it"},
        {with({"manifest.json", "[]"}), "twice"},
        {with({"x", "", '1', "../y"}), "leads out of it"},
        {replaced(0, {"one/layer.tar", "", '2', "layer.tar"}), "lacks the layer"},
        {replaced(1, {"config.json", config(wrong)}), "invalid diffID"},
        {replaced(1, {"config.json", config("sha256:../../x")}), "diff_ids[0]: invalid digest"},
        {replaced(1, {"config.json", "{"}), "image config"},
        {replaced(1, {"config.json", R"({"rootfs":{"type":"layers","diff_ids":[]}})"}), "diff"},
        {replaced(2, {"manifest.json", "[{}]"}), "lacks the config"},
        {replaced(2, {"manifest.json", R"([{"Config":"../../x","RepoTags":[],"Layers":[]}])"}),
         "leads out of it"},
        {replaced(2, {"manifest.json", R"({"Config":1})"}), "manifest.json"},
        {replaced(2, {"manifest.json", "[" + std::string(5 << 20, ' ') + "]"}), "too large"},
        {docker_archive(R"(["Hello:stable"])"), "must be lowercase"},
        {{{"oci-layout", "{}"},
          {"index.json",
           R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:../x","size":1}]})"}},
         "digest"},
        {{{"oci-layout", "{}"},
          {"index.json",
           R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" +
               wrong + R"(","size":1}]})"}},
         "lacks"},
    };
    for (auto& [entries, why] : cases) {
        CAPTURE(why);
        CHECK_THAT(error_of(entries), ContainsSubstring(why));
    }
    CHECK_THAT(error_of({{"config.json", std::string(3000, 'x')}}, false),
               ContainsSubstring("neither"));
}

TEST_CASE("a change is a Dockerfile instruction on the config") {
    struct {
        const char* instruction;
        const char* config;
    } cases[] = {
        {R"(CMD ["a", "b c"])", R"({"Cmd":["a","b c"]})"},
        {"cmd echo hi", R"({"Cmd":["/bin/sh","-c","echo hi"]})"},
        {R"(ENTRYPOINT ["/x"])", R"({"Entrypoint":["/x"]})"},
        {R"(ENV A=1 B="x y" C=x\ y)", R"({"Env":["A=1","B=x y","C=x y"]})"},
        {"ENV A the rest", R"({"Env":["A=the rest"]})"},
        {"EXPOSE 80 53/udp", R"({"ExposedPorts":{"53/udp":{},"80/tcp":{}}})"},
        {"LABEL a=b", R"({"Labels":{"a":"b"}})"},
        {"USER 1:2", R"({"User":"1:2"})"},
        {"VOLUME /a /b", R"({"Volumes":{"/a":{},"/b":{}}})"},
        {"WORKDIR srv", R"({"WorkingDir":"/srv"})"},
        {"STOPSIGNAL TERM", R"({"StopSignal":"TERM"})"},
    };
    for (auto& [instruction, want] : cases) {
        CAPTURE(instruction);
        spec::ContainerConfig config;
        apply_change(config, instruction);
        CHECK(json::dump(json::parse(spec::write(config))) ==
              json::dump(json::parse(spec::write(spec::read_container_config(want)))));
    }
    for (const char* bad : {"RUN x", "CMD", "ENV", "ENV =x", "EXPOSE x", "EXPOSE 0",
                            "EXPOSE 80/icmp", "", "ENV A='x"}) {
        CAPTURE(bad);
        spec::ContainerConfig config;
        CHECK_THROWS_AS(apply_change(config, bad), Error);
    }
}

TEST_CASE("the first entry of an index for the platform is chosen") {
    const auto index = spec::read_index(R"({"schemaVersion":2,"manifests":[
        {"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"test:a","size":1,"platform":{"os":"unknown","architecture":"unknown"}},
        {"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"test:b","size":1,"platform":{"os":"linux","architecture":"amd64"}},
        {"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"test:c","size":1,"platform":{"os":"linux","architecture":"arm","variant":"v6"}},
        {"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"test:d","size":1,"platform":{"os":"linux","architecture":"arm64","variant":"v8"}},
        {"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"test:e","size":1,"platform":{"os":"linux","architecture":"amd64"}}]})");
    struct {
        const char *platform, *digest;
    } cases[] = {{"linux/amd64", "test:b"}, {"amd64", "test:b"},   {"linux/x86_64", "test:b"},
                 {"linux/arm64", "test:d"}, {"aarch64", "test:d"}, {"linux/arm", "test:c"},
                 {"linux/arm/v7", ""},      {"linux/s390x", ""}};
    for (auto& [platform, digest] : cases) {
        CAPTURE(platform);
        const spec::Descriptor* found = find_platform(index, platform);
        CHECK((found ? found->digest : "") == digest);
    }
    CHECK_THROWS_AS(find_platform(index, "a/b/c/d"), Error);
}

TEST_CASE("damaged documents of images are read or refused") {
    static constexpr std::string_view words[] = {"sha256:",
                                                 "sha256:00",
                                                 "linux",
                                                 "arm64/v8",
                                                 "../x",
                                                 "docker.io/library/x:y@sha256:0",
                                                 "application/vnd.oci.image.index.v1+json",
                                                 "{",
                                                 "}",
                                                 "\"",
                                                 "[",
                                                 ",",
                                                 "null"};
    const struct {
        const char* file;
        void (*take)(const std::string&);
    } documents[] = {
        {"manifest.json",
         [](const std::string& text) {
             spec::read_manifest(spec::write(spec::read_manifest(text)));
         }},
        {"index.json",
         [](const std::string& text) { find_platform(spec::read_index(text), "linux/arm64/v8"); }},
        {"image-config.json",
         [](const std::string& text) {
             spec::read_image_config(spec::write(spec::read_image_config(text)));
         }},
    };
    for (const auto& [file, take] : documents) {
        const std::string text = read_file(str(TEST_DATA, "/spec/", file));
        each_damaged(
            200,
            [&](Damage& damage) { return json::dump(damage.document(json::parse(text), words)); },
            take);
        each_damaged(200, [&](Damage& damage) { return damage.text(text, words); }, take);
    }
    each_damaged(
        3000,
        [&](Damage& damage) {
            return damage.text("localhost:5000/a/b-c:v1@sha256:" + std::string(64, 'a'), words);
        },
        [](const std::string& text) {
            const Reference name = parse_reference(text), again = parse_reference(name.canonical());
            CHECK(again == name);
        });
}

TEST_CASE("a damaged archive is loaded whole, or leaves no image") {
    static constexpr std::string_view words[] = {
        "\"",        "[",           "null",         "one/layer.tar",
        "../..",     "config.json", "hello:stable", "manifest.json",
        "index.json"};
    const auto entries = docker_archive();
    const auto take = [](const std::string& bytes) {
        const Scratch scratch;
        const Store store = scratch.store();
        try {
            for (const Loaded& loaded :
                 load_archive(store, scratch.file(bytes).get(), TrustPolicy::anything()))
                for (const std::string& name : loaded.names)
                    CHECK(store.load(store.get(name).descriptor).id() == loaded.id);
        } catch (const Error&) {
            CHECK(store.images().empty());
        }
    };
    each_damaged(
        50,
        [&](Damage& damage) {
            auto changed = entries;
            auto& entry = changed[damage.below(changed.size())];
            entry.data = damage.text(entry.data, words);
            return tar(changed);
        },
        take);
    each_damaged(50, [&](Damage& damage) { return damage.text(tar(entries), words); }, take);
}
