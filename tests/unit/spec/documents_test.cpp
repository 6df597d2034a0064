// Proves what is refused and what is kept of the specs' documents. Refusals are known by their
// words, the place in the document among them: one for another reason would look the same.
#include "base/error.h"
#include "spec/image.h"
#include "spec/runtime.h"
#include "tests/unit/catch.h"

using namespace spec;

TEST_CASE("an error in config.json names the path of what is wrong") {
    const struct {
        const char* text;
        const char* says;
    } cases[] = {
        {R"({"mounts":[{"destination":"/x","uidMappings":[{"containerID":0,"hostID":4294967296,"size":1}]}]})",
         "mounts[0].uidMappings[0].hostID: is out of range: 4294967296"},
        {R"({"process":{"user":{"uid":-1}}})", "process.user.uid: is out of range: -1"},
        {R"({"process":{"args":"sh"}})", "process.args: must be an array, but is \"sh\""},
        {R"({"process":{"user":{"uid":1.9}}})",
         "process.user.uid: must be a whole number, but is 1.9"},
        {R"({"linux":{"sysctl":{"a":1}}})", "linux.sysctl.a: must be a string, but is 1"},
        {R"({"hostname":"a","hostname":"b"})", "has the property \"hostname\" twice"},
        {R"({"hostname":)", "is not JSON: at line 1"},
        {R"([])", "must be an object, but is []"},
    };
    for (const auto& [text, says] : cases) {
        CAPTURE(text);
        CHECK_THAT(error_of([&] { read_config(text); }), ContainsSubstring(says));
    }
}

TEST_CASE("unknown properties and nulls are ignored") {
    const Config config =
        read_config(R"({"ociVersion":"1.3.0","new":{"x":1},"process":null,"hostname":null})");
    CHECK(config.oci_version == "1.3.0");
    CHECK_FALSE(config.process);
    CHECK(config.hostname.empty());
}

TEST_CASE("the default config is valid, and survives being written and read") {
    const std::string text = write(default_config());
    CHECK(problems(read_config(text)).empty());
    CHECK(write(read_config(text)) == text);
    Config rootless = default_config();
    make_rootless(rootless, 1000, 1000);
    CHECK(problems(rootless).empty());
}

TEST_CASE("a document that breaks the spec has its problem named") {
    const struct {
        void (*edit)(Config&);
        const char* says;
    } cases[] = {
        {[](Config& c) { c.oci_version = "2.0.0"; }, "unsupported spec version"},
        {[](Config& c) { c.root.reset(); }, "root: is missing"},
        {[](Config& c) { c.process->args.clear(); }, "args must not be empty"},
        {[](Config& c) { c.process->cwd = "x"; },
         "process.cwd: Cwd must be an absolute path, but is \"x\""},
        {[](Config& c) { c.linux.namespaces.push_back({"pid", ""}); }, "duplicated ns \"pid\""},
        {[](Config& c) { c.linux.namespaces.push_back({"moon", ""}); },
         "namespace \"moon\" does not exist"},
        {[](Config& c) { c.hooks.poststop = {{.path = "rm"}}; },
         "hooks.poststop[0].path: must be an absolute path, but is \"rm\""},
        {[](Config& c) { c.hooks.prestart = {{.path = "/x", .timeout = 0}}; },
         "timeout: must be greater than zero"},
        {[](Config& c) { c.process->rlimits = {{"RLIMIT_NOFILE", 1, 2}}; },
         "process.rlimits[0].soft: the soft limit of RLIMIT_NOFILE is above the hard limit"},
        {[](Config& c) { c.linux.sysctl = {{"kernel.panic", "1"}}; },
         "is not in a separate kernel namespace"},
        {[](Config& c) { c.linux.cgroups_path = "/a/../../b"; }, "must not contain \"..\""},
        {[](Config& c) { c.linux.time_offsets = {{"monotonic", {}}}; },
         "time namespace isn't enabled"},
        {[](Config& c) { c.linux.uid_mappings = {{0, 0, 1}}; }, "user namespace isn't enabled"},
    };
    for (const auto& [edit, says] : cases) {
        CAPTURE(says);
        Config config = default_config();
        edit(config);
        CHECK_THAT(error_of([&] { validate(config); }), ContainsSubstring(says));
    }
}

TEST_CASE("a document cannot be a manifest and an index at once") {
    const char* both = R"({"schemaVersion":2,"config":{},"layers":[],"manifests":[]})";
    CHECK_THAT(error_of([&] { read_manifest(both); }),
               ContainsSubstring("is not an image manifest"));
    CHECK_THAT(error_of([&] { read_index(both); }), ContainsSubstring("is not an image index"));
}

TEST_CASE("an image config keeps absent and empty commands apart") {
    const ImageConfig config = read_image_config(
        R"({"architecture":"amd64","os":"linux","config":{"Cmd":[],"ExposedPorts":{"80/tcp":{}}},"rootfs":{"type":"layers","diff_ids":[]}})");
    CHECK(config.config.cmd.has_value());
    CHECK_FALSE(config.config.entrypoint.has_value());
    CHECK(config.config.exposed_ports.contains(Port(80, "tcp")));
}
