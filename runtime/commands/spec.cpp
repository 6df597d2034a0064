#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/commands/commands.h"
#include "spec/runtime.h"

static constexpr Option options[] = {
    {"bundle,b", "DIR", "path to the root of the bundle directory"},
    {"rootless", nullptr, "generate a configuration for a rootless container"},
};

static int write_spec(const Arguments&, const Arguments& args) {
    const std::string bundle = args.get("bundle");
    const std::string path = bundle.empty() ? "config.json" : bundle + "/config.json";
    if (sys::exists(path)) throw Error("File config.json exists. Remove it first");
    write_file(path, spec::write(args.flag("rootless") ? spec::rootless_config(::geteuid(), ::getegid()) : spec::default_config()));
    return 0;
}

constinit const Command spec_command = {
    .name = "spec",
    .synopsis = "",
    .summary = "create a new specification file",
    .options = options,
    .least = 0,
    .most = 0,
    .run = write_spec,
};
