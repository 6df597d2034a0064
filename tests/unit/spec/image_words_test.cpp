// The words of an image: what of it is taken, as what, and what is refused.
#include "spec/image_words.h"

#include "base/error.h"
#include "spec/image.h"
#include "tests/unit/catch.h"

using namespace spec;

namespace {

ContainerConfig config_of(const std::string& inside) {
    return read_container_config("{" + inside + "}");
}

std::string volumes_of(const std::string& inside) {
    std::string out;
    for (const ContainerPath& path : config_of("\"Volumes\": {" + inside + "}").volumes)
        out += path.written() + "=" + path.path() + " ";
    return out;
}

std::string ports_of(const std::string& key) {
    std::string out;
    for (const Port& port : config_of("\"ExposedPorts\": {\"" + key + "\": {}}").exposed_ports)
        out += port.text() + " ";
    return out;
}

}  // namespace

TEST_CASE("a volume of an image is a place in the container and nothing else") {
    CHECK(volumes_of(R"("/data": {})") == "/data=/data ");
    CHECK(volumes_of(R"("/data/": {})") == "/data/=/data ");
    CHECK(volumes_of(R"("data": {})") == "data=/data ");
    CHECK(volumes_of(R"("/a/../../etc": {})") == "/a/../../etc=/etc ");
    // No language of -v is spoken here.
    for (const char* key : {"/etc:/stolen", "/:/host:rw", "name:/data", "/data:ro"}) {
        CAPTURE(key);
        CHECK_THROWS_WITH(
            volumes_of(str("\"", key, "\": {}")),
            ContainsSubstring(str("Volumes: \"", key, "\" is no path in a container")));
    }
    CHECK_THROWS_WITH(volumes_of(R"("": {})"), ContainsSubstring("Volumes: \"\" is no path"));
    CHECK_THROWS_WITH(volumes_of("\"/" + std::string(5000, 'x') + "\": {}"),
                      ContainsSubstring("is no path"));
    CHECK_THROWS_WITH(volumes_of(R"("/a\u0000b": {})"), ContainsSubstring("is no path"));
}

TEST_CASE("an exposed port of an image is a number or a range, and a protocol") {
    const struct {
        const char *key, *want;
    } good[] = {
        {"80/tcp", "80/tcp "},   {"80", "80/tcp "},
        {"80/", "80/tcp "},      {"53/UDP", "53/udp "},
        {"9/sctp", "9/sctp "},   {"8000-8002/udp", "8000/udp 8001/udp 8002/udp "},
        {"65535", "65535/tcp "},
    };
    for (const auto& [key, want] : good) {
        CAPTURE(key);
        CHECK(ports_of(key) == want);
    }
    for (const char* key :
         {"127.0.0.1:39321:80/tcp", "8080:80", "127.0.0.1::80", ":80", "target=80,published=22", "",
          "/tcp", "0", "65536", "-1", "+80", "80-79", "1-2-3", "80/icmp", "80/tcp/udp", "$PORT/tcp",
          "0x50", " 80"}) {
        CAPTURE(key);
        CHECK_THROWS_WITH(ports_of(key), ContainsSubstring("ExposedPorts: "));
    }
}

TEST_CASE("ports that overlap again and again are refused before they take long") {
    std::string keys;
    for (int last = 65000; last < 65100; ++last)
        keys += str(keys.empty() ? "" : ",", "\"1-", last, "\": {}");
    CHECK_THROWS_WITH(config_of("\"ExposedPorts\": {" + keys + "}"),
                      ContainsSubstring("ExposedPorts: there are more than 196605 ports"));
}

TEST_CASE("a word of an image's environment that sets nothing is no word of it") {
    const ContainerConfig config = config_of(R"("Env": ["A=1", "PATH", "=x", "B=", "C=x=y", ""])");
    std::string words;
    for (const Variable& variable : config.env)
        words += str(variable.name(), "(", variable.value(), ") ");
    CHECK(words == "A(1) B() C(x=y) ");
    CHECK_THROWS_WITH(Variable("PATH"), ContainsSubstring("invalid environment variable"));
    CHECK_THROWS_WITH(Variable("A=B", "c"), ContainsSubstring("invalid environment variable"));
}

TEST_CASE("a user is a name or a number, and perhaps a group") {
    const ContainerConfig config = config_of(R"("User": "app:staff")");
    CHECK(config.user.user() == "app");
    CHECK(config.user.group() == "staff");
    CHECK(UserName("0").group().empty());
    for (const char* text : {"a:b:c", "root\\n", "\\u001b[2J"}) {
        CAPTURE(text);
        CHECK_THROWS_WITH(config_of(str("\"User\": \"", text, "\"")),
                          ContainsSubstring("User: invalid user "));
    }
}

TEST_CASE("a stop signal is one of the kernel's") {
    const struct {
        const char* text;
        int number;
    } good[] = {{"9", 9},      {"KILL", 9},        {"SIGTERM", 15}, {"sigint", 2},
                {"RTMIN", 34}, {"SIGRTMIN+3", 37}, {"RTMAX-1", 63}, {"", 0}};
    for (const auto& [text, number] : good) {
        CAPTURE(text);
        CHECK(Signal(text).number() == number);
    }
    for (const char* text : {"0", "-1", "65", "NOPE", "SIG", "RTMIN+31", "RTMIN-1", "15 "}) {
        CAPTURE(text);
        CHECK_THROWS_WITH(config_of(str("\"StopSignal\": \"", text, "\"")),
                          ContainsSubstring("StopSignal: invalid signal: "));
    }
}

TEST_CASE("a working directory is absolute") {
    CHECK(config_of(R"("WorkingDir": "app/x")").working_dir == "/app/x");
    CHECK(config_of(R"("WorkingDir": "/app/")").working_dir == "/app/");
    CHECK(config_of("").working_dir.empty());
}

TEST_CASE(
    "digests, sizes, media types, times and platforms have their forms, and errors their place") {
    const std::string digest = "sha256:" + std::string(64, 'a');
    const auto manifest = [&](const std::string& layer) {
        return R"({"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" +
               digest + R"(","size":2},"layers":[)" + layer + "]}";
    };
    const std::string tar = "application/vnd.oci.image.layer.v1.tar";
    const struct {
        std::string layer;
        const char* says;
    } bad[] = {
        {R"({"mediaType":")" + tar + R"(","digest":"sha256:../../../../etc/passwd","size":1})",
         "layers[0].digest: invalid digest"},
        {R"({"mediaType":")" + tar + R"(","digest":"../x:aa","size":1})",
         "layers[0].digest: invalid digest"},
        {R"({"mediaType":")" + tar + R"(","digest":"sha256:aa","size":1})",
         "layers[0].digest: invalid digest"},
        {R"({"mediaType":")" + tar + R"(","digest":")" + digest + R"(","size":-1})",
         "layers[0].size: must not be negative"},
        {R"({"mediaType":"tar\nx","digest":")" + digest + R"(","size":1})",
         "layers[0].mediaType: \"tar\\nx\" is no media type"},
    };
    for (const auto& [layer, says] : bad) {
        CAPTURE(layer);
        CHECK_THROWS_WITH(read_manifest(manifest(layer)), ContainsSubstring(says));
    }
    std::string refers = manifest(bad[0].layer);
    refers.replace(refers.find("[{"), std::string::npos,
                   R"([],"subject":{"mediaType":"x/y","digest":"sha256:no","size":1}})");
    CHECK_THROWS_WITH(read_manifest(refers), ContainsSubstring("subject.digest: invalid digest"));
    // An algorithm that keg does not know is no mistake of the document's.
    CHECK_NOTHROW(check_digest("blake3:" + std::string(64, 'A')));
    CHECK_NOTHROW(check_digest("sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564"));

    const auto config = [](const std::string& more) {
        return R"({"rootfs":{"type":"layers","diff_ids":[]},)" + more + "}";
    };
    CHECK_THROWS_WITH(read_image_config(config(R"("os":"linux","architecture":"a/b")")),
                      ContainsSubstring("architecture: \"a/b\""));
    CHECK_THROWS_WITH(
        read_image_config(config(R"("os":"linux","architecture":"amd64","created":"tomorrow")")),
        ContainsSubstring("created: not an RFC 3339 time"));
    CHECK_THROWS_WITH(
        read_image_config(
            R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["../../x"]}})"),
        ContainsSubstring("rootfs.diff_ids[0]: invalid digest"));
    CHECK_NOTHROW(read_image_config(config(
        R"("os":"linux","architecture":"amd64","created":"2024-05-06T07:08:09.123+02:00")")));
}

TEST_CASE("a layer that is no tar makes no image") {
    Manifest manifest;
    for (const auto type :
         {media::layer, media::layer_gzip, media::layer_zstd, media::docker_layer_gzip})
        manifest.layers.push_back({.media_type = std::string(type)});
    CHECK_NOTHROW(check_layers(manifest));
    for (const char* type : {"application/vnd.erofs.chunk-index.v1",
                             "application/vnd.oci.image.layer.v1.tar+gzip+encrypted", ""}) {
        CAPTURE(type);
        manifest.layers[1].media_type = type;
        CHECK_THROWS_WITH(check_layers(manifest), ContainsSubstring("layers[1].mediaType: "));
    }
}
