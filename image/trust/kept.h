// Signatures that the store has of its images: those by which an image was accepted when it came,
// and those that were made here. ROOT/signatures/ALGORITHM-HEX is one manifest as cosign writes it,
// with what it names inside of it; it goes with the document that it is of (Store::gc).
#pragma once

#include "image/digest.h"
#include "image/store.h"
#include "image/transport/stored.h"
#include "image/trust/claim.h"

// Adds it to what is kept of that document, once. What hinders it is warned of: an image that may
// be used is not refused because this could not be written down.
void keep_signature(const Store& store, const Digest& image, const Signature& signature);

// An image of the store with its signatures beside it.
class KeptSource : public StoreSource {
public:
    KeptSource(const Store& store, spec::Descriptor top, std::optional<Reference> name = {})
        : StoreSource(store, std::move(top), std::move(name)), store_(store) {}
    std::optional<spec::Descriptor> tagged(const std::string& tag) override;

private:
    const Store& store_;
};
