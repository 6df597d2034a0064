// The signatures of a document, as they lie beside it: under cosign's tag "sha256-HEX.sig", and as
// bundles in manifests that have it for their subject, which cosign 3 writes.
#pragma once

#include <string>
#include <vector>

#include "image/digest.h"
#include "image/transport/transport.h"
#include "image/trust/claim.h"

// cosign's tag for the signatures of that document.
std::string signature_tag(const Digest& image);

struct Evidence {
    std::vector<Signature> signatures;
    std::vector<std::string> problems;  // what was there, and could not be read as one
};
// All that a place has in one of the two ways: 100 signatures and 8 MiB at most. Throws Error if
// the place cannot be asked; that there is nothing is no error.
enum class Beside { by_tag, as_referrers };
Evidence find_signatures(ImageSource& place, const spec::Descriptor& image, Beside where);
