// Where a build's result goes: `--output`, and what is written about it. BuildKit's exporters.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/layer/encoder.h"
#include "image/store.h"

struct Output {
    // `image` is the store; `registry` that and a push.
    enum class Kind { image, registry, oci, docker, tar, local, cacheonly } kind;
    std::string destination = {};       // a file or directory of this host; "": standard output
    bool is_directory = false;          // of oci and docker: a layout, not a tar (tar=false)
    std::vector<Reference> names = {};  // its own, or the build's tags
    std::optional<Compression> compression = {};  // of layers; none: as the place has it

    bool needs_stdout() const;
};

// All that was asked for, by options of the same names.
struct OutputWords {
    std::vector<std::string> outputs = {};  // "type=oci,dest=a.tar", "DIR", "-"
    bool push = false, load = false;
    std::vector<std::string> annotations = {};  // "[manifest:]KEY=VALUE"
    std::vector<std::string> tags = {};         // as typed
    std::string id_file = {}, metadata_file = {};
};

struct Outputs {
    std::vector<Output> all;                         // at least one; each writes something else
    std::map<std::string, std::string> annotations;  // of the manifest
    std::map<std::string, std::string> descriptor_annotations;  // of what names it in a layout
    std::string id_file, metadata_file;

    // Do names in the store mean the image?
    bool keeps_image() const;
    // Of the image in the store: all of `-t` and `name=`, if it is kept.
    std::vector<Reference> names() const;
};

// Throws Error, in BuildKit's words where it has some, for what cannot be: before anything is
// built, so that nothing is built in vain. Nothing is opened or made.
Outputs parse_outputs(const OutputWords& words);

// The image with these annotations: the same if there are none. In the store, without a name.
Image with_annotations(const Store& store, Image image,
                       const std::map<std::string, std::string>& annotations);

// Writes the built image, which is in the store and ready to be mounted, to all of them, names it
// there if that is asked for, and writes id and metadata files, last. `say` is told a line of each.
// The caller has a lease. Throws Error; what was written by then stays.
void write_outputs(const Store& store, const Image& image, const Outputs& outputs,
                   const std::function<void(const std::string& line)>& say);
