// What a build has to do: the steps that make layers, each with what it reads. Instructions that
// change nothing but the config are no steps: they are in the config of the stage already. A step
// knows neither what is in the files that it reads, nor whether it was made before: that is
// solve.h's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "builder/language/run_mount.h"
#include "builder/source/remote.h"
#include "spec/image.h"

// An image as a Dockerfile names it, for a platform ("linux/arm64").
struct ImageWish {
    std::string name, platform;
    auto operator<=>(const ImageWish&) const = default;
};

// A tree of files that a step is made on, or reads.
struct TreeRef {
    enum class Kind {
        nothing,  // FROM scratch
        image,    // of Graph::images
        step,     // what that step of Graph::steps leaves
        context,  // the build's, or one of --build-context
    } kind = Kind::nothing;
    size_t index = 0;  // of images or steps
    std::string name;  // of a context; "" is the build's own; or of Graph::fetched
    bool operator==(const TreeRef&) const = default;
};

// A file that the Dockerfile itself brings: a heredoc.
struct InlineFile {
    std::string name, content;
};

// WORKDIR: a directory of the user's, with all that lacks on the way.
struct MakeDirectory {
    std::string path;  // absolute
    spec::UserName owner;
};

// COPY and ADD. The words are expanded, and say what was typed.
struct CopyFiles {
    std::string keyword;  // for errors
    TreeRef from;
    std::vector<std::string> sources;
    std::vector<InlineFile> files;
    std::string destination;  // absolute; a directory if it ends in "/"
    std::string chown, chmod;
    std::vector<std::string> excludes;
    bool parents = false;      // --parents: the source's own directories come along
    bool link = false;         // --link: good on whatever lies below
    bool keeps_owner = false;  // of an image or a stage; what a context has is root's
    enum class Unpack { never, archives, always } unpack = Unpack::never;  // ADD of a tar
};

// RUN --mount, its target absolute.
struct PlannedMount {
    RunMount mount;
    TreeRef from;  // nothing: from nowhere
};

// RUN.
struct RunCommand {
    std::vector<std::string> args;     // what is executed
    std::vector<std::string> env;      // config's and ARGs
    std::vector<std::string> proxies;  // NAME=VALUE, for the command and nothing else: no part of
                                       // the image or of the key
    spec::UserName user;
    std::string directory;  // "" is "/"
    std::string network;    // "default", "host", "none"
    bool insecure = false;  // --security=insecure
    std::string label;      // for the error: the command as it was written
    std::vector<PlannedMount> mounts;
    std::vector<InlineFile> scripts;  // which are at /dev/pipes/NAME
};

struct Step {
    std::string stage;          // as it is shown; "" if the Dockerfile has only one
    std::string where;          // "Dockerfile:3"
    std::string shown;          // "RUN make"
    size_t number = 0, of = 0;  // in its stage, whose FROM is the first
    TreeRef below;              // what the layer comes onto
    int64_t latest = 0;         // no time in the layer is later; seconds since 1970
    bool anew = false;          // --no-cache
    std::string platform;       // that it is for: "linux/amd64"
    std::variant<MakeDirectory, CopyFiles, RunCommand> what;
};

// What the last stage makes.
struct PlannedImage {
    TreeRef tree;
    TreeRef base;  // the image that it began with, or nothing
    // Complete but for rootfs.
    spec::ImageConfig config;
};

// What an ADD has from afar: each in a directory of its number, of a tree that is read as a
// context.
struct FetchedTrees {
    std::string where;  // the ADD
    std::vector<RemoteSource> sources;
};

struct Graph {
    std::vector<Step> steps;  // each behind those it needs
    std::vector<ImageWish> images;
    std::map<std::string, FetchedTrees> fetched;
    PlannedImage image;
};
