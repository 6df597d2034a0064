// What refers to an image by its `subject` (image-spec 1.1): signatures, attestations, lists of
// what is in it. They are images of their own, which no image names, so a copy takes them along
// only if that is asked for.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "image/copy.h"
#include "image/transport/transport.h"

// Copies what refers to the image, or to one of those that go with it by the options (with
// `keeps_index` to the index, too, by which one is chosen), or to what was copied so, each to the
// place that is given for it and its subject. What is listed and does not say the same itself is
// warned of, and stays. Throws Error.
using PlaceForReferrer = std::function<std::unique_ptr<ImageSink>(const spec::Descriptor& referrer,
                                                                  const std::string& subject)>;
void copy_referrers(ImageSource& from, const CopyOptions& options, bool keeps_index,
                    const PlaceForReferrer& place);
