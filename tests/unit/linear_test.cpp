// Documents and words of strangers, ten times as many: see linear.h for how that is measured.
#include "tests/unit/linear.h"

#include "base/json.h"
#include "builder/language/dockerfile.h"
#include "builder/language/ignore.h"
#include "builder/language/words.h"
#include "builder/metadata.h"
#include "builder/stage.h"
#include "engine/settings.h"
#include "image/reference.h"
#include "runtime/rootfs/mounts.h"
#include "runtime/seccomp/filter.h"
#include "runtime/start/program.h"
#include "spec/image.h"
#include "spec/runtime.h"
#include "spec/validate.h"
#include "tests/unit/catch.h"

using linear::problem;
using linear::repeated;

namespace {

// `pieces` in brackets, the comma behind the last one removed.
std::string listed(std::string pieces, std::string_view brackets = "[]") {
    if (!pieces.empty()) pieces.pop_back();
    return str(brackets.substr(0, 1), pieces, brackets.substr(1));
}

std::string bundle_with(const std::string& more) {
    return str(
        R"({"ociVersion":"1.3.0","root":{"path":"rootfs"},"process":{"cwd":"/","args":["sh"],"user":{"uid":0,"gid":0}},)",
        more, "}");
}

std::string image_with(const std::string& config, const std::string& history = "[]") {
    return str(
        R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":)",
        config, R"(,"history":)", history, "}");
}

void check_text(const char* what, std::string_view piece, std::string (*whole)(std::string),
                void (*use)(const std::string&)) {
    CAPTURE(what);
    CHECK(problem(100, [&](size_t n) { return whole(repeated(piece, n)); }, use) == "");
}

}  // namespace

TEST_CASE("what looks at all it has for each thing more is noticed to cost too much") {
    const auto names = [](size_t n) { return split(repeated("name#\n", n), '\n'); };
    CHECK(problem(100, names, [](const std::vector<std::string>& all) {
              std::vector<std::string> kept;
              for (const std::string& name : all)
                  if (std::ranges::find(kept, name) == kept.end()) kept.push_back(name);
          }) != "");
}

TEST_CASE("JSON is read in a time that grows as the text") {
    struct {
        const char* what;
        std::string_view piece;
        std::string (*whole)(std::string);
    } cases[] = {
        {"members of an object", "\"key-#\":\"value\",",
         [](std::string all) { return listed(all, "{}"); }},
        {"elements of an array", "#,", [](std::string all) { return listed(all); }},
        {"objects in an array", "{\"a\":#,\"b\":[]},", [](std::string all) { return listed(all); }},
        {"one long string", "abc\\n\\u00e9#", [](std::string all) { return "\"" + all + "\""; }},
    };
    for (auto& [what, piece, whole] : cases)
        check_text(what, piece, whole, [](const std::string& text) { json::parse(text); });
}

TEST_CASE("a bundle's config is read and validated in a time that grows as its lists") {
    struct {
        const char* what;
        std::string_view piece;
        std::string (*whole)(std::string);
    } cases[] = {
        {"mounts",
         R"({"destination":"/m#","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755"]},)",
         [](std::string all) { return bundle_with("\"mounts\":" + listed(all)); }},
        {"annotations", R"("annotation.#":"value",)",
         [](std::string all) { return bundle_with("\"annotations\":" + listed(all, "{}")); }},
        {"hooks", R"({"path":"/hook#","args":["a"],"env":["A=B"]},)",
         [](std::string all) {
             return bundle_with("\"hooks\":{\"prestart\":" + listed(all) + "}");
         }},
        {"masked paths", R"("/proc/#",)",
         [](std::string all) {
             return bundle_with("\"linux\":{\"maskedPaths\":" + listed(all) + "}");
         }},
        {"devices", R"({"path":"/dev/d#","type":"c","major":1,"minor":3},)",
         [](std::string all) {
             return bundle_with("\"linux\":{\"devices\":" + listed(all) + "}");
         }},
        {"sysctls", R"("net.ipv4.conf.eth#.forwarding":"1",)",
         [](std::string all) {
             return bundle_with("\"linux\":{\"sysctl\":" + listed(all, "{}") + "}");
         }},
        {"id mappings", R"({"containerID":#,"hostID":#,"size":1},)",
         [](std::string all) {
             const std::string maps = listed(all);
             return bundle_with(str(R"("linux":{"namespaces":[{"type":"user"}],"uidMappings":)",
                                    maps, ",\"gidMappings\":", maps, "}"));
         }},
        {"device rules", R"({"allow":true,"type":"c","major":1,"minor":#,"access":"rwm"},)",
         [](std::string all) {
             return bundle_with("\"linux\":{\"resources\":{\"devices\":" + listed(all) + "}}");
         }},
        {"limits", R"({"type":"RLIMIT_NOFILE#","hard":1,"soft":1},)",
         [](std::string all) {
             return R"({"ociVersion":"1.3.0","root":{"path":"r"},"process":{"cwd":"/","args":["sh"],"user":{},"rlimits":)" +
                    listed(all) + "}}";
         }},
        {"names of calls", R"("call#",)",
         [](std::string all) {
             return bundle_with(
                 R"("linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_ERRNO","names":)" +
                 listed(all) + "}]}}");
         }},
    };
    for (auto& [what, piece, whole] : cases)
        check_text(what, piece, whole,
                   [](const std::string& text) { spec::read_and_validate(text); });
}

TEST_CASE("an image's documents are read in a time that grows as their lists") {
    struct {
        const char* what;
        std::string_view piece;
        std::string (*whole)(std::string);
    } cases[] = {
        {"labels", R"("label#":"value",)",
         [](std::string all) { return image_with(str("{\"Labels\":", listed(all, "{}"), "}")); }},
        {"environment", R"("NAME#=value",)",
         [](std::string all) { return image_with(str("{\"Env\":", listed(all), "}")); }},
        {"volumes", R"("/volume#":{},)",
         [](std::string all) { return image_with(str("{\"Volumes\":", listed(all, "{}"), "}")); }},
        {"triggers", R"("RUN true #",)",
         [](std::string all) { return image_with(str("{\"OnBuild\":", listed(all), "}")); }},
        {"history", R"({"created_by":"RUN #","empty_layer":true},)",
         [](std::string all) { return image_with("{}", listed(all)); }},
    };
    for (auto& [what, piece, whole] : cases) {
        check_text(what, piece, whole, [](const std::string& text) {
            try {
                spec::read_image_config(text);
            } catch (const Error&) {  // refusing is an answer, too: soon
            }
        });
    }
    check_text(
        "manifests of an index",
        R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"test:#","size":#},)",
        [](std::string all) { return str(R"({"schemaVersion":2,"manifests":)", listed(all), "}"); },
        [](const std::string& text) { spec::read_index(text); });
}

TEST_CASE("words of the environment are put together in a time that grows as they do") {
    const auto words = [](size_t n) { return split(repeated("NAME#=value\n", n), '\n'); };
    const auto pairs = [&](size_t n) {
        auto all = words(n);
        all.pop_back();
        return all;
    };
    CHECK(problem(100, pairs, [](const auto& env) { unique_environment(env); }) == "");
    CHECK(problem(100, pairs, [](const auto& env) { merge_env(env, env); }) == "");
    CHECK(problem(100, pairs, [](const auto& env) {
              Stage stage;
              for (const std::string& word : env)
                  stage.set_env(word.substr(0, word.find('=')), "x");
              stage.environment();
          }) == "");
    CHECK(problem(100, pairs, [](const auto& env) {
              Stage stage;
              for (const std::string& word : env)
                  stage.set_arg(word.substr(0, word.find('=')), "x");
              stage.environment();
          }) == "");
}

TEST_CASE("a Dockerfile is read in a time that grows as its text") {
    struct {
        const char* what;
        std::string_view piece;
        std::string (*whole)(std::string);
    } cases[] = {
        {"instructions", "RUN echo #\n", [](std::string all) { return all; }},
        {"continued lines", "a # \\\n", [](std::string all) { return "RUN " + all + "b\n"; }},
        {"comments", "# comment #\n", [](std::string all) { return all + "FROM a\n"; }},
        {"comments in a continued line", "# comment #\n",
         [](std::string all) { return "RUN a \\\n" + all + "b\n"; }},
        {"empty lines in a continued line", "\n",
         [](std::string all) { return "RUN a \\\n" + all + "b\n"; }},
        {"a heredoc", "line #\n", [](std::string all) { return "RUN <<E\n" + all + "E\n"; }},
        {"heredocs", "RUN <<E#\na\nE#\n", [](std::string all) { return all; }},
    };
    for (auto& [what, piece, whole] : cases) {
        check_text(what, piece, whole,
                   [](const std::string& text) { parse_dockerfile(text, "Dockerfile"); });
    }
}

TEST_CASE("words are expanded in a time that grows as they do") {
    const Lookup lookup = [](const std::string& name) {
        return std::optional<std::string>(name + "!");
    };
    struct {
        const char* what;
        std::string_view piece;
    } cases[] = {{"variables", "$a${b}"},
                 {"defaults", "${a:-b}"},
                 {"quotes", "\"a #\" 'b' "},
                 {"escapes", "\\a"},
                 {"patterns", "${a#\\*x*}"}};
    for (auto& [what, piece] : cases) {
        CAPTURE(what);
        const auto text = [&](size_t n) {  // "#" is a pattern's here
            std::string all;
            for (size_t i = 0; i < n; ++i) all += piece;
            return all;
        };
        CHECK(problem(100, text, [&](const std::string& all) { expand(all, '\\', lookup); }) == "");
        CHECK(problem(100, text,
                      [&](const std::string& all) { expand_words(all, '\\', lookup); }) == "");
    }
    CHECK(problem(
              100, [](size_t n) { return repeated("word# ", n); },
              [](const std::string& all) { raw_words(all, '\\'); }) == "");
}

TEST_CASE("a word that is nested too deep is refused, however deep") {
    const Lookup none = [](const std::string&) { return std::optional<std::string>(); };
    for (const size_t depth : {size_t(1000), size_t(200000)}) {
        std::string text;
        for (size_t i = 0; i < depth; ++i) text += "${a:-";
        CHECK_THROWS_AS(expand(text + std::string(depth, '}'), '\\', none), Error);
    }
}

TEST_CASE("a pattern of any number of stars is matched in bounded time") {
    const auto stars = [](size_t n) { return repeated("*a", n) + "b"; };
    const auto depths = [](size_t n) { return repeated("**/a/", n) + "b"; };
    const std::string name(250, 'a'), path = repeated("a/", 300);
    CHECK_FALSE(match_path(stars(120), name));
    CHECK_FALSE(IgnoreRules(depths(60)).ignores(path + "c"));
    CHECK_FALSE(IgnoreRules(stars(120)).ignores(name));
}

TEST_CASE("mount options and rules of calls are planned in a time that grows as they do") {
    const auto words = [](size_t n) { return split(repeated("option#=x,", n), ','); };
    CHECK(problem(100, words, [](const auto& options) { plan_mount(options); }) == "");
    const auto profile = [](size_t n) {
        spec::Seccomp seccomp;
        seccomp.default_action = "SCMP_ACT_ALLOW";
        for (size_t i = 0; i < n; ++i) {
            spec::SeccompSyscall rule{.names = {"socket"}, .action = "SCMP_ACT_ERRNO"};
            rule.args.push_back({.index = 0, .value = i, .op = "SCMP_CMP_EQ"});
            seccomp.syscalls.push_back(rule);
        }
        return seccomp;
    };
    CHECK(problem(
              10, [&](size_t n) { return profile(std::min<size_t>(n, 700)); },
              [](const auto& seccomp) { compile_filter(seccomp); }) == "");
}
