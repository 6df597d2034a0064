// Proves what RUN --mount means, field by field, and in which words it is refused.
#include "builder/language/run_mount.h"

#include "base/error.h"
#include "tests/unit/catch.h"

using Type = RunMount::Type;

static RunMount mount_of(std::string_view text) {
    return parse_run_mount(text, [](std::string_view value) {
        if (value == "$list") return std::string("a,rw=1");
        return std::string(value);
    });
}

TEST_CASE("a mount is a read-only bind of the context unless told otherwise") {
    const RunMount mount = mount_of("target=src");
    CHECK(mount.type == Type::bind);
    CHECK(mount.target == "src");
    CHECK(mount.source.empty());
    CHECK(mount.from.empty());
    CHECK(mount.read_only);
}

TEST_CASE("a mount's options have other names") {
    CHECK(mount_of("dst=/a,src=b").target == "/a");
    CHECK(mount_of("destination=/a,source=b").source == "b");
    CHECK(mount_of("TARGET=/a,FROM=build").from == "build");
    for (const char* text : {"target=/a,rw", "target=/a,readwrite", "target=/a,rw=1",
                             "target=/a,ro=false", "target=/a,readonly=F", "target=/a,ro,rw"}) {
        CAPTURE(text);
        CHECK_FALSE(mount_of(text).read_only);
    }
    CHECK(mount_of("type=cache,target=/a,ro").read_only);
}

TEST_CASE("a cache is writable, shared, and known by its target") {
    const RunMount mount = mount_of("type=cache,target=/root/.cache/");
    CHECK_FALSE(mount.read_only);
    CHECK(mount.id == "/root/.cache");
    CHECK(mount.sharing == RunMount::Sharing::shared);
    const RunMount own =
        mount_of("type=Cache,id=go,target=/x,sharing=Locked,mode=1777,uid=5,gid=6");
    CHECK(own.id == "go");
    CHECK(own.sharing == RunMount::Sharing::locked);
    CHECK(own.mode == 01777);
    CHECK(own.uid == 5);
    CHECK(own.gid == 6);
    CHECK(mount_of("type=cache,target=/x,sharing=private").sharing == RunMount::Sharing::exclusive);
}

TEST_CASE("a tmpfs may have a size") {
    CHECK(mount_of("type=tmpfs,target=/t").size == 0);
    CHECK(mount_of("type=tmpfs,target=/t,size=64m").size == 64 << 20);
    CHECK_FALSE(mount_of("type=tmpfs,target=/t").read_only);
}

TEST_CASE("a secret is a file, a variable, or both") {
    const RunMount file = mount_of("type=secret,id=dir/aws");
    CHECK(file.id == "dir/aws");
    CHECK(file.target == "/run/secrets/aws");
    CHECK_FALSE(file.required);
    CHECK(mount_of("type=secret,target=/root/.netrc").id == ".netrc");
    CHECK(mount_of("type=secret,source=key,required").id == "key");
    CHECK(mount_of("type=secret,id=key,required=true").required);

    const RunMount variable = mount_of("type=secret,id=key,env=KEY");
    CHECK(variable.env == "KEY");
    CHECK(variable.target.empty());
    CHECK(mount_of("type=secret,id=key,env=KEY,target=/k").target == "/k");
}

TEST_CASE("an ssh agent is the default one unless it has a name") {
    CHECK(mount_of("type=ssh").id == "default");
    CHECK(mount_of("type=ssh,id=work,required,mode=0666,target=/s").id == "work");
}

TEST_CASE("a mount's fields are separated before variables are replaced") {
    const RunMount mount = mount_of("target=$list");
    CHECK(mount.target == "a,rw=1");
    CHECK(mount.read_only);
    CHECK(mount_of(R"("target=/a,b",source=c)").target == "/a,b");
    CHECK(mount_of(R"("target=/a""b")").target == "/a\"b");
}

TEST_CASE("a mount's source is known before variables are") {
    CHECK(run_mount_from("type=bind,from=build,target=$x") == "build");
    CHECK(run_mount_from("target=/x").empty());
    CHECK_THROWS_WITH(check_run_mount("from=$stage,target=/x"),
                      "'from' doesn't support variable expansion, define alias stage instead");
    CHECK_THROWS_WITH(mount_of("from=a$stage,target=/x"),
                      "'from' doesn't support variable expansion, define alias stage instead");
    CHECK(mount_of("from=a$,target=/x").from == "a$");
}

TEST_CASE("a mount that asks for what there is not is refused in BuildKit's words") {
    const struct {
        const char *text, *says;
    } cases[] = {
        {"type=bid,target=/x", "unsupported mount type \"bid\" (did you mean bind?)"},
        {"type=secret", "invalid secret mount. one of source, target required"},
        {"type=secret,id=a,source=b", "both source and id can't be set"},
        {"type=secret,id=a,from=b", "secret mount should not have a from"},
        {"type=secret,id=a,sharing=shared", "secret mount should not define sharing"},
        {"type=ssh,source=b", "ssh does not support source"},
        {"target=/x,sharing=shared", "invalid cache sharing set for bind mount"},
        {"type=cache,target=/x,sharing=lock",
         "unsupported sharing value \"lock\" (did you mean locked?)"},
        {"target=/x,mode=755", "mode not allowed for \"bind\" type mounts"},
        {"type=tmpfs,target=/x,uid=7", "uid not allowed for \"tmpfs\" type mounts"},
        {"type=tmpfs,target=/x,gid=7", "gid not allowed for \"tmpfs\" type mounts"},
        {"type=cache,target=/x,mode=9", "invalid value 9 for mode"},
        {"type=cache,target=/x,uid=-1", "invalid value -1 for uid"},
        {"type=cache,target=/x,gid=me", "invalid value me for gid"},
        {"type=cache,target=/x,size=5", "unexpected key 'size' for mount type 'cache'"},
        {"type=tmpfs,target=/x,size=big", "invalid value for size: big"},
        {"target=/x,required", "unexpected key 'required' for mount type 'bind'"},
        {"target=/x,ro=maybe", "invalid value for ro: maybe"},
        {"target=/x,env=A", "env not allowed for \"bind\" type mounts"},
        {"target=/x,sorce=a", "unexpected key 'sorce' in 'sorce=a' (did you mean source?)"},
        {"target=/x,target", "invalid field 'target' must be a key=value pair"},
        {"target=/x,", "invalid field '' must be a key=value pair"},
        {"target=/x,a\"b", "failed to parse csv mounts: bare \" in non-quoted field \"a\\\"b\""},
        {"\"target=/x", "failed to parse csv mounts: extraneous or missing \" in quoted field"},
        {"\"target=/x\"y", "failed to parse csv mounts: extraneous or missing \" in quoted field"},
        {"", "failed to parse csv mounts: no fields"},
    };
    for (const auto& [text, says] : cases) {
        CAPTURE(text);
        CHECK_THROWS_WITH(mount_of(text), says);
    }
}
