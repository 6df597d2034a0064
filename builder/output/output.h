// Where a build's result goes: `--output`, and what is written about it. BuildKit's exporters.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "image/layer/encoder.h"
#include "image/store.h"

struct BuildOutput {
    // `image` is the store; `registry` that and a push.
    enum class Kind { image, registry, oci, docker, tar, local, cacheonly } kind = Kind::image;
    std::string destination = {};  // a file or directory of this host; "": standard output
    bool is_directory = false;     // of oci and docker: a layout, and no tar of one (tar=false)
    std::vector<Reference> names = {};
    std::optional<Compression> compression = {};  // of layers; none: as the place has it

    bool needs_stdout() const;
    bool keeps_image() const { return kind == Kind::image || kind == Kind::registry; }
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
    std::vector<BuildOutput> all;                    // at least one
    std::map<std::string, std::string> annotations;  // of the manifest, whatever it is written to
    std::string id_file, metadata_file;

    bool needs_stdout() const;
    // Is it an image of the store when all is done? Else nobody sees it there.
    bool keeps_image() const;
    // By which it is called in the store: of those outputs that keep it.
    std::vector<Reference> names() const;
};

// Throws Error, in BuildKit's words where it has some, for what cannot be: before anything is
// built, so that nothing is built in vain. Nothing is opened or made.
Outputs parse_outputs(const OutputWords& words);

// The image with these annotations, in the store, without a name; the same if there are none.
Image with_annotations(const Store& store, Image image,
                       const std::map<std::string, std::string>& annotations);

// What was built: an image, or an index with one for each platform.
struct Built {
    spec::Descriptor top;
    std::vector<Image> images;  // at least one

    // Docker's image ID of the one image; of an index its digest.
    std::string id() const { return images.size() == 1 ? images[0].id().text() : top.digest; }
};

// Writes what was built, which is in the store, ready to be mounted, and has its names there, to
// all other places, and at last the files of id and metadata. `say` is told a line of each. The
// caller has a lease. Throws Error; what was written by then stays.
void write_outputs(const Store& store, const Built& built, const Outputs& outputs,
                   const std::function<void(const std::string& line)>& say);
