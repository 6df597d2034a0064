// Where an ADD reads from: URLs and git repositories, as a Dockerfile has them.
#include "builder/source/remote.h"

#include "base/error.h"
#include "builder/source/fetch.h"
#include "builder/source/git.h"
#include "tests/fuzz/fuzz.h"

void take(std::string_view input) {
    const std::string word(input);
    if (const auto repository = parse_git_source(word)) {
        expect(!repository->remote.starts_with('-'), "a repository is no option");
        expect(!repository->ref.starts_with('-'), "a ref is no option");
        expect(!("/" + repository->subdir + "/").contains("/../"), "a directory is below");
    }
    if (is_web_url(word)) expect(!file_name_in(word).contains('/'), "a name is no path");
    if (is_remote_source(word)) check_remote_source({.url = word, .checksum = ""});
}

std::vector<std::string> seeds() {
    return {"https://host/x.git#v1:docs",
            "https://host/x.git?ref=v1&subdir=docs&keep-git-dir=1",
            "git@host:a/b.git#c",
            "ssh://me@host:22/x",
            "github.com/a/b",
            "http://[::1]:80/a%20b?c=d#e",
            "https://host/%2e%2e"};
}
