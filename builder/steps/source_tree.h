// A tree that COPY, ADD and RUN --mount read from: a build context, or the mounted files of an
// image or a stage. It is looked at once, as far as somebody asks; several steps may ask at once.
#pragma once

#include <sys/stat.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/root.h"
#include "builder/language/ignore.h"

class SourceTree {
public:
    struct Entry {
        std::string name;
        struct stat info;
    };
    using Listing = std::shared_ptr<const std::vector<Entry>>;

    SourceTree(Root root, IgnoreRules ignore)
        : root_(std::move(root)), ignore_(std::move(ignore)) {}

    const Root& root() const { return root_; }
    const IgnoreRules& ignore() const { return ignore_; }

    // What is in the directory at that clean path, links on the way followed within the tree,
    // sorted by names; without what is ignored, unless something below it is brought back.
    Listing list(const std::string& directory);
    // The clean path, without links, that a clean path leads to. Throws Error in BuildKit's words
    // if it is not there, or ignored: `"/nope": not found`.
    std::string resolve(const std::string& path);
    struct stat look(const std::string& path) const;  // at a path without links

private:
    bool is_left_out(const std::string& path, mode_t mode);

    Root root_;
    IgnoreRules ignore_;
    std::mutex mutex_;
    std::map<std::string, Listing, std::less<>> listings_;
};
