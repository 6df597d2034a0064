// What a document refers to by its `subject` (image-spec 1.1), and how that is listed.
#pragma once

#include <string>

#include "spec/image.h"

// The digest that a document says it refers to; "" if it does not.
std::string subject_of(const std::string& document);
// The entry that a list of referrers has for it (distribution-spec, "Listing Referrers"): with the
// artifactType, or the config's type, and the annotations that it has itself.
spec::Descriptor referrer_entry(const spec::Descriptor& descriptor, const std::string& document);

// "sha256-HEX", under which a registry without an API for it has the list (distribution-spec,
// "Referrers Tag Schema").
std::string tag_of_referrers(const std::string& digest);
