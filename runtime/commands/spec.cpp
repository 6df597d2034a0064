// The document is made for this machine and this user: with cgroup v2 alone a container gets a
// cgroup namespace as well, with --rootless the ids of who asks. A config that is there is
// somebody's work and never overwritten, under whatever name.
#include <unistd.h>

#include <cstdio>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup/hierarchy.h"
#include "runtime/commands/commands.h"
#include "spec/runtime.h"

static constexpr Option spec_options[] = {
    {"bundle,b", "DIR", "path to the root of the bundle directory"},
    {"config,f", "FILE", "where to write instead of config.json; - is the standard output"},
    {"rootless", nullptr, "generate a configuration for a rootless container"},
};

static int write_spec(const Arguments&, const Arguments& args) {
    const std::string bundle = args.get("bundle"),
                      name = args.value("config").value_or("config.json");
    spec::Config config = spec::default_config(sole_v2_mount().has_value());
    if (args.flag("rootless")) spec::make_rootless(config, ::geteuid(), ::getegid());
    const std::string text = spec::write(config, indent_tabs);
    if (name == "-") {
        std::fputs(text.c_str(), stdout);
        return 0;
    }
    const std::string path = bundle.empty() || name.starts_with('/') ? name : bundle + "/" + name;
    if (sys::exists(path)) throw Error("File ", name, " exists. Remove it first");
    write_file(path, text, 0666);
    return 0;
}

constinit const Command spec_command = {
    .name = "spec",
    .synopsis = "",
    .summary = "create a new specification file",
    .options = spec_options,
    .least = 0,
    .most = 0,
    .interspersed = true,
    .run = write_spec,
};
