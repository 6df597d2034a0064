#include "engine/export.h"
#include "base/output_file.h"
#include "base/sys.h"
#include "cli/commands.h"

static constexpr Option export_options[] = {
    {"output,o", "FILE", "write there instead of to standard output"},
};

static int export_(const Arguments& globals, const Arguments& args) {
    const OutputFile output(args.get("output"));
    const Containers containers(store_root(globals));
    const Container container = containers.get(args[0]);
    output.write([&](int fd) {
        export_container(containers, container, [&](std::string_view data) {
            context("writing the archive", [&] { sys::write_all(fd, data); });
        });
    });
    return 0;
}

constinit const Command export_command = {
    .name = "export",
    .synopsis = "CONTAINER",
    .summary = "write a container's file system to a tar, without its volumes",
    .options = export_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = export_,
};
