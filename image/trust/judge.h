// Whether an image may be used: what a policy asks of it is looked for beside it, before anything
// but its documents is fetched.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "image/store.h"
#include "image/transport/transport.h"
#include "image/trust/claim.h"
#include "image/trust/policy.h"

// Called with an image's documents from the top down: an index, those in it, the manifest. They
// must have been compared with their digests, and be what is then used. Throws Error, which says
// why not, and by whom.
using Accept = std::function<void(const std::vector<spec::Descriptor>& chain)>;

// Asks all that the policy has for such an image. An image is signed if one document of its chain
// is: an index that is signed holds for what it names by digest. What is rejected whatever it
// shows, and keys that cannot be read, are thrown at once. `noted` is told of each signature that
// was accepted, and of what document it is. `place` must live as long as what is given.
using Noted = std::function<void(const Digest& document, const Signature& signature)>;
Accept acceptance(const TrustPolicy& policy, ImageSource& place, const Origin& origin,
                  Noted noted = {});
// Into that store, which must live as long.
Noted keep_in(const Store& store);

// Of an image that the store has already: the keys that were named must have signed it, by what was
// kept when it came. Without keys nothing is asked.
void require_kept_signature(const TrustPolicy& policy, const Store& store, const NamedImage& image,
                            const std::string& platform, const std::string& typed);

// The documents from the top of what a place has down to the platform's manifest, each checked.
std::vector<spec::Descriptor> chain_of(ImageSource& place, const std::string& platform);
