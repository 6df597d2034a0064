// What is fetched has to look like a tree that a COPY may read: a file in a directory of its own,
// or a repository's; the name that it gets there is the server's word, and decides nothing else.
#include "builder/source/remote.h"

#include "base/error.h"
#include "base/sys.h"
#include "builder/source/fetch.h"
#include "builder/source/git.h"

namespace {

// BuildKit's name for what has none; seen only if the destination is a directory.
std::string name_in_tree(const RemoteSource& source) {
    const std::string name = file_name_in(source.url);
    return name.empty() ? "__unnamed__" : name;
}

std::optional<GitSource> repository_of(const RemoteSource& source) {
    auto repository = parse_git_source(source.url);
    if (!repository) return {};
    repository->keep_git_dir |= source.keep_git_dir;
    if (source.checksum.empty()) return repository;
    if (!repository->checksum.empty() && repository->checksum != source.checksum)
        throw Error("conflicting checksums: ", source.checksum, " and ", repository->checksum);
    repository->checksum = source.checksum;
    return repository;
}

// A name, and no pattern.
std::string escaped(const std::string& name) {
    std::string out;
    for (const char c : name) {
        if (std::string_view("*?[\\").contains(c)) out += '\\';
        out += c;
    }
    return out;
}

}  // namespace

std::string RemoteSource::place() const {
    if (const auto repository = parse_git_source(url)) return escaped(repository->subdir) + "/";
    return escaped(name_in_tree(*this));
}

bool is_remote_source(const std::string& word) {
    return is_web_url(word) || parse_git_source(word).has_value();
}

void check_remote_source(const RemoteSource& source) {
    if (const auto repository = repository_of(source)) return check_commit(repository->checksum);
    if (!source.checksum.empty()) check_file_checksum(source.checksum);
    if (source.keep_git_dir)
        throw Error("--keep-git-dir is for git repositories: ", quoted(source.url), " is none");
    file_name_in(source.url);
}

void fetch_remote_source(const RemoteSource& source, const std::string& directory,
                         const std::string& agent) {
    if (const auto repository = repository_of(source)) {
        fetch_git(*repository, directory, agent);
        return;
    }
    const FetchedFile file = fetch_file(source.url, directory, source.checksum);
    sys::rename(file.path, directory + "/" + name_in_tree(source));
}
