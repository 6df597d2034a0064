// What is built from: the context that was typed, and the named ones of `--build-context`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "builder/source/remote.h"
#include "image/store.h"
#include "image/trust/policy.h"

// A tree to read.
struct BuildContext {
    std::string directory;  // on this host; what is in it is a stranger's: by a Root
    // The Dockerfile, if that alone was given: then the directory is empty.
    std::optional<std::string> dockerfile = {};
    // Fetched, or unpacked of what was: BuildKit asks no .dockerignore of such.
    bool is_remote = false;
    // Of what was fetched or unpacked: what it holds. A directory's is what is found in it.
    std::optional<Digest> key = {};
    std::optional<WorkDir> work = {};  // in which it lies, as long as this lives
};

// A directory; "-", a tar, compressed or not, or a Dockerfile, from the descriptor `in`; a tar or a
// Dockerfile by http or https; a git repository (git.h). What is in a file decides which it is, not
// its name. `agent`: an ssh agent's socket, for git. Throws Error, in Docker's words for what is
// none of them.
BuildContext open_context(const Store& store, const std::string& typed, int in = 0,
                          const std::string& agent = {});
// What an ADD has from afar, each in a directory of its number.
BuildContext fetch_all(const Store& store, const std::vector<RemoteSource>& sources,
                       const std::string& agent);
// Without opening it: throws for what is none of them, so that it can be said first.
void check_context(const std::string& typed);

struct NamedContext {
    enum class Kind { tree, image, layout } kind;
    std::string name;  // as FROM and --from have it: "alpine" for "docker.io/library/alpine:latest"
    std::string value;  // of a tree as it was typed; of an image its name; of a layout what is
                        // behind "oci-layout://"
};
// A name as it is compared: of an image without what is implied.
std::string context_name(const std::string& typed);
// "NAME=VALUE". Throws Error.
NamedContext parse_named_context(const std::string& typed);

// The image of a layout, "DIRECTORY[:TAG|@DIGEST]", for a platform ("": this machine's), in the
// store, without a name, for as long as the caller's lease lives. Throws Error if `trust` refuses
// it.
Image image_of_layout(const Store& store, const std::string& place, const std::string& platform,
                      const TrustPolicy& trust);
