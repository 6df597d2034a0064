// What ADD takes from afar: a file of a web server, or a repository's commit. Each becomes a tree
// that is read as a context is.
#pragma once

#include <optional>
#include <string>

struct RemoteSource {
    std::string url;
    std::string checksum;       // "sha256:HEX"; of a repository the commit
    bool keep_git_dir = false;  // of a repository

    // In its tree: a file, or a directory whose contents are meant; as a COPY's source is written.
    std::string place() const;
};

// Is the word of an ADD one, and no file of the context?
bool is_remote_source(const std::string& word);
// Throws Error for a URL or a checksum that can be none: before anything is built.
void check_remote_source(const RemoteSource& source);
// Into a new directory. `agent`: an ssh agent's socket. Throws Error as fetch.h and git.h say.
void fetch_remote_source(const RemoteSource& source, const std::string& directory,
                         const std::string& agent);
