// What is hard: the cache must not give a step what another one made. A key is the digest of a
// step's fields, each with its length, so that "a" "bc" is not "ab" "c", and of a number that
// changes with what keg makes of a step.
#include "builder/key.h"

Digest step_key(Layers below, const std::vector<std::string>& fields) {
    Hasher hasher;
    hasher.field("keg build 4");
    hasher.field(below.empty() ? "" : chain_ids(below).back().text());
    for (const std::string& field : fields) hasher.field(field);
    return hasher.finish();
}
