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

struct Reader {
    const std::string& context_path;
    const Root& context_root;
    std::optional<UniqueFd> beside;  // NAME.dockerignore, where the Dockerfile is

    std::optional<std::string> read_if_exists(const std::string& path) {
        const auto inside = inside_context(context_path, path);
        if (!inside) return read_elsewhere(path);
        const auto there = context_root.open_if_exists(*inside, O_PATH);
        if (!there) return {};
        beside = open_regular_if_exists(context_root, *inside + ".dockerignore");
        return context("failed to read dockerfile", [&] {
            return sys::read_all(reopen_regular(there->get(), path).get(), longest_dockerfile);
        });
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

std::vector<std::string> candidates(const std::string& context_path,
                                    const std::string& dockerfile) {
    if (!dockerfile.empty()) return {dockerfile};
    std::vector<std::string> out;
    for (const char* name : {"Dockerfile", "dockerfile", "Containerfile"})
        out.push_back(context_path + "/" + name);
    return out;
}

IgnoreRules read_rules(const UniqueFd& file) {
    return context("reading the ignore file",
                   [&] { return IgnoreRules(sys::read_all(file.get(), longest_ignore_file)); });
}

void parse(BuildText& text) {
    text.file = parse_dockerfile(text.text, text.name);
    check_statements(text.file, text.name);
}

}  // namespace

BuildText read_build_text(const std::string& context_path, const Root& context_root,
                          const std::string& dockerfile) {
    BuildText out{.name = "Dockerfile", .text = {}, .file = {}, .ignore = {}};
    Reader reader{.context_path = context_path, .context_root = context_root, .beside = {}};
    if (dockerfile == "-") {
        out.text = sys::read_all(0, longest_dockerfile);
    } else {
        std::optional<std::string> found;
        const std::vector<std::string> paths = candidates(context_path, dockerfile);
        for (const std::string& path : paths) {
            if (!(found = reader.read_if_exists(path))) continue;
            out.name = path.substr(path.find_last_of('/') + 1);
            break;
        }
        if (!found)
            throw Error("failed to read dockerfile: open ", paths[0],
                        ": no such file or directory");
        out.text = *found;
    }
    parse(out);
    out.ignore = reader.beside ? read_rules(*reader.beside) : read_ignore_file(context_root);
    return out;
}

IgnoreRules read_ignore_file(const Root& context_root) {
    const auto file = open_regular_if_exists(context_root, ".dockerignore");
    return file ? read_rules(*file) : IgnoreRules();
}

BuildText read_fetched_text(const BuildContext& from, const Root& context_root,
                            const std::string& dockerfile) {
    BuildText out{.name = "Dockerfile", .text = {}, .file = {}, .ignore = {}};
    if (dockerfile == "-") {
        out.text = sys::read_all(0, longest_dockerfile);
    } else if (from.dockerfile) {
        out.text = *from.dockerfile;
    } else {
        const std::string path = dockerfile.empty() ? "Dockerfile" : dockerfile;
        out.name = path.substr(path.find_last_of('/') + 1);
        const auto there = open_regular_if_exists(context_root, path);
        if (!there)
            throw Error("failed to read dockerfile: open ", path, ": no such file or directory");
        out.text = sys::read_all(there->get(), longest_dockerfile);
    }
    parse(out);
    return out;
}
