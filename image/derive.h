// Images made of other images: another config, a layer on top. `commit`, `repack`, `insert` and
// `config` differ in what they change; that a new image comes of it is the same.
#pragma once

#include <optional>

#include "image/snapshots.h"
#include "image/store.h"

// A layer of a tar or an EROFS image, compressed or not, as it is. Throws Error for what is not
// one, or not whole. It is on the disk from Store::settle() on, which publish() calls.
Snapshots::NewLayer take_layer(const Store& store, int fd);

// What the user has to say about a change.
struct ChangeWords {
    std::string author, message;
    std::string created_by;  // what did it
};
// SOURCE_DATE_EPOCH, in seconds, which times shall be instead of now, and none later. Throws Error
// if it is no number.
std::optional<int64_t> source_date();
// When an image is made: by that, or now.
std::string creation_time();

// The entry for the history, and what of it is the image's own, too: author and time.
spec::History note_change(Image& image, const ChangeWords& words);

// Puts the layer on top of `image`, and the entry into its history. An empty layer stands in the
// history alone.
void add_layer(Image& image, const Snapshots::NewLayer& layer, spec::History entry);

// A host that does not know EROFS images must not choose an image that has them: os.features.
void note_features(spec::ImageConfig& config, const spec::Manifest& manifest);

// Writes config and manifest of `image`, as they were changed; makes it ready to be mounted; gives
// it that name (none: it is a dangling image). What had the name before becomes dangling. Who calls
// has a lease (Store::use).
Image publish(const Store& store, Image image, const std::optional<Reference>& name);

// The name as typed for a new image: throws Error for one with a digest.
Reference name_for_new(const std::string& typed);
