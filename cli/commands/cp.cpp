// Docker's rules of what lands where are cp(1)'s with a trap: "DIR/." is DIR's content, a target
// that is not there takes the source's place and name, one that ends in a slash must be there. All
// of it goes as a tar through a file without a name; with "-" that tar is ours to write, or to
// read.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/sys.h"
#include "cli/commands.h"
#include "engine/copy_files.h"
#include "engine/events.h"
#include "image/layer/apply.h"
#include "image/layer/diff.h"

namespace {

constexpr Option cp_options[] = {
    {"archive,a", nullptr, "keep the owners"},
    {"follow-link,L", nullptr, "copy what a link at the source leads to"},
    {"quiet,q", nullptr, "", "", true},
};

// "web:/etc", or a path here: one with a slash or a dot before the first colon.
struct CopyEnd {
    std::string container, path;
};

CopyEnd parse_end(const std::string& typed) {
    const size_t colon = typed.find(':');
    if (colon == std::string::npos || colon == 0 || typed[0] == '/' || typed[0] == '.')
        return {"", typed};
    return {typed.substr(0, colon), typed.substr(colon + 1)};
}

bool is_content(const std::string& path) { return path.ends_with("/.") || path == "."; }

// Without "." and slashes at its end; the root is "/".
std::string plain(const std::string& path) {
    std::string out = std::filesystem::path(path).lexically_normal();
    while (out.size() > 1 && out.ends_with('/')) out.pop_back();
    return out;
}
std::string parent(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}
std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

using Look = std::function<PlaceKind(const std::string&)>;

// Where the tar is unpacked, and what its first name is.
struct Landing {
    std::string directory, name;
};

Landing land(const std::string& source, PlaceKind kind, const std::string& target,
             const Look& look) {
    const std::string there = plain(target);
    const bool must_be_directory = target.ends_with('/') || is_content(target);
    const PlaceKind found = look(there);
    if (found == PlaceKind::directory) {
        if (is_content(source)) return {there, ""};
        return {there, base_name(plain(source))};
    }
    if (found == PlaceKind::file) {
        if (must_be_directory) throw Error("not a directory: ", target);
        if (kind == PlaceKind::directory) throw Error("cannot copy directory");
        return {parent(there), base_name(there)};
    }
    if (must_be_directory && kind != PlaceKind::directory)
        throw Error("no such directory: ", target);
    if (look(parent(there)) != PlaceKind::directory)
        throw Error("no such file or directory: ", parent(there));
    return {parent(there), base_name(there)};
}

UniqueFd nameless_file(const std::string& store) {
    return sys::open(store, O_TMPFILE | O_RDWR, 0600);
}

std::function<void(std::string_view)> writer_to(const UniqueFd& file) {
    return [&file](std::string_view data) { sys::write_all(file.get(), data); };
}

PlaceKind look_here(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) < 0) {
        if (errno == ENOENT || errno == ENOTDIR) return PlaceKind::nothing;
        throw SysError("looking at ", path);
    }
    return S_ISDIR(info.st_mode) ? PlaceKind::directory : PlaceKind::file;
}

void copy_out(const std::string& store, const ContainerFiles& files, const std::string& source,
              const std::string& target, const Arguments& args) {
    const bool follow = args.flag("follow-link");
    if (target == "-") {
        if (::isatty(1)) throw Error("refusing to copy to a terminal; redirect the output");
        return files.read(source, is_content(source) ? "" : base_name(plain(source)), follow,
                          [](std::string_view data) { sys::write_all(1, data); });
    }
    PlaceKind kind = files.look(source);
    if (kind == PlaceKind::nothing)
        kind = PlaceKind::file;  // a link that leads nowhere, or nothing
    const Landing landing = land(source, kind, target, look_here);
    const UniqueFd tar = nameless_file(store);
    files.read(plain(source), landing.name, follow, writer_to(tar));
    ApplyOptions options{.whiteouts = false};
    if (!args.flag("archive")) options.owner = {::geteuid(), ::getegid()};
    check(::lseek(tar.get(), 0, SEEK_SET), "reading the archive");
    apply_layer(tar.get(), landing.directory, options);
}

void read_here(const std::string& source, const std::string& name, bool follow,
               const UniqueFd& tar) {
    std::string path = plain(source);
    if (follow || is_content(source)) path = std::filesystem::canonical(path);
    write_layer_of_copy(path, name, false, {}, writer_to(tar));
}

void copy_in(const std::string& store, const ContainerFiles& files, const std::string& source,
             const std::string& target, const Arguments& args) {
    const UniqueFd tar = nameless_file(store);
    const Look look = [&](const std::string& path) { return files.look(path); };
    Landing landing{.directory = target, .name = {}};
    if (source == "-") {
        if (files.look(target) != PlaceKind::directory)
            throw Error("destination \"", target, "\" must be a directory");
        char buffer[65536];
        for (ssize_t n; (n = check(::read(0, buffer, sizeof buffer), "reading the archive")) > 0;)
            sys::write_all(tar.get(), {buffer, size_t(n)});
    } else {
        const PlaceKind kind = look_here(source);
        struct stat info{};
        if (kind == PlaceKind::nothing && ::lstat(source.c_str(), &info) < 0)
            throw Error("lstat ", source, ": no such file or directory");
        landing = land(source, kind, target, look);
        read_here(source, landing.name, args.flag("follow-link"), tar);
    }
    files.write(landing.directory, tar.get(), args.flag("archive") || source == "-");
}

int cp(const Arguments& globals, const Arguments& args) {
    const CopyEnd from = parse_end(args[0]), to = parse_end(args[1]);
    if (!from.container.empty() && !to.container.empty())
        throw Error("copying between containers is not supported");
    if (from.container.empty() && to.container.empty())
        throw Error("must specify at least one container source");
    const Containers containers(store_root(globals));
    const bool out = !from.container.empty();
    const Container container = containers.get(out ? from.container : to.container);
    // In a container a path begins at its root.
    const auto inside = [](const std::string& path) {
        return path.starts_with('/') ? path : "/" + path;
    };
    with_files_of(containers, container, [&](const ContainerFiles& files) {
        if (out)
            copy_out(containers.store_root(), files, inside(from.path), to.path, args);
        else
            copy_in(containers.store_root(), files, from.path, inside(to.path), args);
    });
    note_event(containers, container, out ? "archive-path" : "extract-to-dir");
    return 0;
}

}  // namespace

constinit const Command cp_command = {
    .name = "cp",
    .synopsis = "CONTAINER:SOURCE TARGET|- | SOURCE|- CONTAINER:TARGET",
    .summary = "copy files between a container and this machine",
    .options = cp_options,
    .least = 2,
    .most = 2,
    .interspersed = true,
    .run = cp,
};
