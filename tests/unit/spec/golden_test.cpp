// The documents with every property that the specs' JSON Schemas know for Linux: what is read is
// written again, and whatever is wrong with a value is said with the way to it.
#include <nlohmann/json.hpp>

#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "spec/features.h"
#include "spec/image.h"
#include "spec/runtime.h"
#include "spec/state.h"
#include "tests/unit/catch.h"

namespace {

using Json = nlohmann::json;

struct Document {
    const char* file;
    std::function<std::string(std::string_view)> again;  // read and written
};
const Document documents[] = {
    {"config.json", [](std::string_view text) { return spec::write(spec::read_config(text)); }},
    {"state.json",
     [](std::string_view text) { return spec::write_for_hook(spec::read_state(text)); }},
    {"features.json", [](std::string_view text) { return spec::write(spec::read_features(text)); }},
    {"image-config.json",
     [](std::string_view text) { return spec::write(spec::read_image_config(text)); }},
    {"manifest.json", [](std::string_view text) { return spec::write(spec::read_manifest(text)); }},
    {"index.json", [](std::string_view text) { return spec::write(spec::read_index(text)); }},
};

Json golden(const Document& document) {
    return Json::parse(read_file(std::string(TEST_DATA) + "/spec/" + document.file));
}

// Calls `each` with the path of every value below.
void walk(const Json& value, const Json::json_pointer& path,
          const std::function<void(const Json&, const Json::json_pointer&)>& each) {
    if (!path.empty()) each(value, path);
    if (value.is_object())
        for (const auto& [key, member] : value.items()) walk(member, path / key, each);
    if (value.is_array())
        for (size_t i = 0; i < value.size(); ++i) walk(value[i], path / i, each);
}

// The steps of the path, as errors show them: "mounts[0].options".
std::string shown(Json::json_pointer path, const Json& document) {
    std::string out;
    for (; !path.empty(); path = path.parent_pointer()) {
        const bool index = document.at(path.parent_pointer()).is_array();
        const char* joint = out.empty() || out.starts_with('[') ? "" : ".";
        out = (index ? "[" + path.back() + "]" : path.back()) + joint + out;
    }
    return out;
}

std::string error_of(const Document& document, const Json& changed) {
    try {
        document.again(changed.dump());
        return {};
    } catch (const Error& e) {
        return e.what();
    }
}

}  // namespace

TEST_CASE("every property of the specs' documents is read and written") {
    for (const Document& document : documents) {
        CAPTURE(document.file);
        const Json whole = golden(document);
        CHECK(Json::parse(document.again(whole.dump())) == whole);
    }
}

TEST_CASE("properties that no version of the specs knows are ignored, wherever they stand") {
    for (const Document& document : documents) {
        CAPTURE(document.file);
        const Json whole = golden(document);
        Json more = whole;
        walk(whole, Json::json_pointer(), [&](const Json& value, const Json::json_pointer& path) {
            // In a map of names every key means something.
            static const std::vector<std::string> maps = {
                "annotations", "sysctl", "unified",      "rdma",   "netDevices",
                "timeOffsets", "Labels", "ExposedPorts", "Volumes"};
            if (value.is_object() && std::find(maps.begin(), maps.end(), path.back()) == maps.end())
                more[path]["org.example.new"] = {{"deep", {1, 2}}};
        });
        more["org.example.new"] = "x";
        CHECK(Json::parse(document.again(more.dump())) == whole);
    }
}

TEST_CASE("a value of the wrong type is an error that names the way to it") {
    for (const Document& document : documents) {
        const Json whole = golden(document);
        walk(whole, Json::json_pointer(), [&](const Json& value, const Json::json_pointer& path) {
            Json changed = whole;
            changed[path] = value.is_object() || value.is_array() ? Json(true) : Json::object();
            CAPTURE(document.file, path.to_string());
            CHECK_THAT(error_of(document, changed), ContainsSubstring(shown(path, whole) + ":"));
        });
    }
}

TEST_CASE("a number that does not fit is an error, and so is half a number") {
    for (const Document& document : documents) {
        const Json whole = golden(document);
        walk(whole, Json::json_pointer(), [&](const Json& value, const Json::json_pointer& path) {
            if (!value.is_number()) return;
            CAPTURE(document.file, path.to_string());
            for (const Json& wrong : {Json(1e30), Json(-1e30), Json(1.5)}) {
                Json changed = whole;
                changed[path] = wrong;
                CHECK_THAT(error_of(document, changed),
                           ContainsSubstring(shown(path, whole) + ":"));
            }
        });
    }
    const struct {
        const char *text, *says;
    } cases[] = {
        {R"({"process": {"user": {"uid": 4294967296}}})",
         "process.user.uid: is out of range: 4294967296"},
        {R"({"process": {"user": {"uid": -1}}})", "process.user.uid: is out of range: -1"},
        {R"({"process": {"oomScoreAdj": 9223372036854775808}})",
         "process.oomScoreAdj: is out of range"},
        {R"({"linux": {"resources": {"blockIO": {"weight": 65536}}}})",
         "linux.resources.blockIO.weight: is out of range: 65536"},
        {R"({"linux": {"resources": {"memory": {"limit": 18446744073709551615}}}})",
         "linux.resources.memory.limit: is out of range"},
        {R"({"linux": {"seccomp": {"syscalls": [{"args": [{"value": 18446744073709551616}]}]}}})",
         "linux.seccomp.syscalls[0].args[0].value: is out of range"},
    };
    for (const auto& [text, says] : cases)
        CHECK_THROWS_WITH(spec::read_config(text), ContainsSubstring(says));
    // The whole range of what is unsigned passes unchanged.
    CHECK(
        spec::read_config(
            R"({"linux": {"seccomp": {"syscalls": [{"args": [{"value": 18446744073709551615}]}]}}})")
            .linux.seccomp->syscalls[0]
            .args[0]
            .value == UINT64_MAX);
}

TEST_CASE("the schemas' bad examples are refused") {
    const auto read_and_validate = [](const char* text) {
        spec::Config config = spec::read_config(text);
        spec::validate(config);
    };
    const struct {
        const char *text, *says;
    } cases[] = {
        {"{]", "line 1"},
        {R"({"ociVersion": "1.0.0", "root": {"path": "rootfs"}, "linux": {"resources": {"hugepageLimits": [{"limit": 1234123, "pageSize": "64kB"}]}}})",
         "64kB"},
        {R"({"ociVersion": "1.0.0", "root": {"path": "rootfs"}, "linux": {"netDevices": {"eth0": {"name": 23}}}})",
         "linux.netDevices.eth0.name: must be a string"},
        {R"({"ociVersion": "1.0.0", "root": {"path": "rootfs"}, "linux": {"resources": {"rdma": {"mlx5_1": {"hcaHandles": "not a uint32"}}}}})",
         "linux.resources.rdma.mlx5_1.hcaHandles: must be a whole number"},
    };
    for (const auto& [text, says] : cases) {
        CAPTURE(text);
        CHECK_THROWS_WITH(read_and_validate(text), ContainsSubstring(says));
    }
    CHECK_THROWS_WITH(spec::read_features(R"({"ociVersionMin": "1.1.0"})"),
                      ContainsSubstring("ociVersionMax"));
    CHECK_THROWS_AS(spec::read_state("{]"), Error);
}

TEST_CASE("the schemas' good examples for Linux are read, small ones too") {
    for (
        const char* text : {
            R"({"ociVersion": "1.0.0", "root": {"path": "rootfs"}})",
            R"({"ociVersion": "1.0.0", "root": {"path": "rootfs"}, "process": {"cwd": "/", "args": ["sh"], "user": {"uid": 0, "gid": 0}}})",
            R"({"ociVersion": "1.0.0", "root": {"path": "rootfs"}, "linux": {"netDevices": {"eth0": {}, "ens4": {"name": "ctr_ens4"}}}})",
            R"({"ociVersion": "1.0.0", "root": {"path": "rootfs"}, "linux": {"resources": {"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "mlx4_0": {"hcaObjects": 1000}}}}})",
        }) {
        CAPTURE(text);
        CHECK(Json::parse(spec::write(spec::read_config(text))) == Json::parse(text));
    }
    CHECK(spec::read_features(R"({"ociVersionMin": "1.0.0", "ociVersionMax": "1.1.0-rc.2"})")
              .oci_version_max == "1.1.0-rc.2");
}
