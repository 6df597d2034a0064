// What is hard: a Dockerfile that lies in the context is a stranger's file like all in there, and
// is opened inside it; one that the user names elsewhere is his own, a pipe too (-f <(…)). Which it
// is is decided by the directory that it really lies in, not by how its path is written.
#include "builder/build_text.h"

#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/regular_file.h"
#include "base/sys.h"
#include "builder/language/instructions.h"

namespace {

constexpr size_t longest_dockerfile = size_t(16) << 20, longest_ignore_file = size_t(1) << 20;

// Where a file is in the context, if it is there.
std::optional<std::string> inside_context(const std::string& context_path,
                                          const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path directory =
        fs::canonical(path.contains('/') ? path.substr(0, path.find_last_of('/') + 1) : ".", error);
    if (error) return {};
    const fs::path inside = directory.lexically_relative(fs::canonical(context_path, error));
    if (error || inside.empty() || *inside.begin() == "..") return {};
    return (inside / fs::path(path).filename()).lexically_normal().string();
}

std::optional<std::string> read_inside(const Root& context_root, const std::string& inside,
                                       const std::string& shown) {
    const auto there = context_root.open_if_exists(inside, O_PATH);
    if (!there) return {};
    return context("failed to read dockerfile", [&] {
        return sys::read_all(reopen_regular(there->get(), shown).get(), longest_dockerfile);
    });
}

struct Reader {
    const std::string& context_path;
    const Root& context_root;
    std::optional<UniqueFd> beside;  // NAME.dockerignore, where the Dockerfile is

    std::optional<std::string> read_if_exists(const std::string& path) {
        const auto inside = inside_context(context_path, path);
        if (!inside) return read_elsewhere(path);
        auto text = read_inside(context_root, *inside, path);
        if (text) beside = open_regular_if_exists(context_root, *inside + ".dockerignore");
        return text;
    }

    std::optional<std::string> read_elsewhere(const std::string& path) {
        auto text = read_file_if_exists(path, longest_dockerfile);
        if (!text) return {};
        const size_t name = path.find_last_of('/') + 1;
        const Root directory(name == 0 ? "." : path.substr(0, name));
        beside = open_regular_if_exists(directory, path.substr(name) + ".dockerignore");
        return text;
    }
};

// The names that are looked for, the first that is there counts.
std::vector<std::string> usual_names(const std::string& before, const std::string& dockerfile) {
    if (!dockerfile.empty()) return {dockerfile};
    return {before + "Dockerfile", before + "dockerfile", before + "Containerfile"};
}

[[noreturn]] void no_dockerfile(const std::string& path) {
    throw Error("failed to read dockerfile: open ", path, ": no such file or directory");
}

IgnoreRules read_rules(const UniqueFd& file) {
    return context("reading the ignore file",
                   [&] { return IgnoreRules(sys::read_all(file.get(), longest_ignore_file)); });
}

BuildText parsed(const std::string& path, std::string text) {
    BuildText out{.name = path.substr(path.find_last_of('/') + 1),
                  .text = std::move(text),
                  .file = {},
                  .ignore = {}};
    out.file = parse_dockerfile(out.text, out.name);
    check_statements(out.file, out.name);
    return out;
}

BuildText read_fetched_text(const BuildContext& from, const Root& context_root,
                            const std::string& dockerfile) {
    if (from.dockerfile) return parsed("Dockerfile", *from.dockerfile);
    const std::vector<std::string> paths = usual_names("", dockerfile);
    for (const std::string& path : paths)
        if (auto text = read_inside(context_root, path, path)) return parsed(path, *text);
    no_dockerfile(paths[0]);
}

BuildText read_text_of(const std::string& directory, const Root& context_root,
                       const std::string& dockerfile) {
    Reader reader{.context_path = directory, .context_root = context_root, .beside = {}};
    const std::vector<std::string> paths = usual_names(directory + "/", dockerfile);
    for (const std::string& path : paths) {
        auto text = reader.read_if_exists(path);
        if (!text) continue;
        BuildText out = parsed(path, std::move(*text));
        out.ignore = reader.beside ? read_rules(*reader.beside) : read_ignore_file(context_root);
        return out;
    }
    no_dockerfile(paths[0]);
}

}  // namespace

IgnoreRules read_ignore_file(const Root& context_root) {
    const auto file = open_regular_if_exists(context_root, ".dockerignore");
    return file ? read_rules(*file) : IgnoreRules();
}

BuildText read_build_text(const BuildContext& from, const Root& context_root,
                          const std::string& dockerfile) {
    if (from.is_remote && dockerfile != "-")
        return read_fetched_text(from, context_root, dockerfile);
    if (dockerfile != "-") return read_text_of(from.directory, context_root, dockerfile);
    BuildText out = parsed("Dockerfile", sys::read_all(0, longest_dockerfile));
    if (!from.is_remote) out.ignore = read_ignore_file(context_root);
    return out;
}
