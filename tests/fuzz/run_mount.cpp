// The values of RUN --mount and of --chmod.
#include "builder/language/run_mount.h"

#include "builder/language/mode.h"
#include "tests/fuzz/fuzz.h"

void take(std::string_view input) {
    is_taken([&] {
        const FileMode mode(input);
        for (const unsigned before : {0u, 0644u, 07777u}) {
            expect(mode.apply(before, false) <= 07777, "a mode has its bits alone");
            const unsigned twice = mode.apply(mode.apply(before, true), true);
            expect(!mode.absolute() || twice == *mode.absolute(), "an octal mode is the mode");
        }
    });
    is_taken([&] { run_mount_from(input); });
    const RunMount mount =
        parse_run_mount(input, [](std::string_view value) { return std::string(value); });
    using Type = RunMount::Type;
    const bool has_id = mount.type == Type::secret || mount.type == Type::ssh;
    expect(!has_id || !mount.id.empty(), "a secret and a key have a name");
    expect(mount.type != Type::secret || !mount.target.empty() || mount.env,
           "a secret comes somewhere");
    expect(mount.size >= 0, "no size is below nothing");
}

std::vector<std::string> seeds() {
    return {"type=bind,target=/a,source=b,from=c,rw",
            "type=cache,id=a,target=/b,sharing=locked,mode=0755,uid=1,gid=2,ro=false",
            "type=tmpfs,dst=/a,size=64m",
            "type=secret,id=a,env=B,required=true,mode=0400",
            "type=ssh,destination=/s",
            "\"target=/a,b\",\"src=c\"\"d\"",
            "u=rwX,go=rX",
            "a+st,g=u-w,=",
            "07755"};
}
