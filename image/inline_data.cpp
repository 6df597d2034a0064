#include "image/inline_data.h"

#include "base/base64.h"
#include "image/digest.h"

std::optional<std::string> inline_data(const spec::Descriptor& blob) {
    if (blob.data.empty()) return {};
    auto data = decode_base64(blob.data, Padding::optional);
    const bool is_right = data && int64_t(data->size()) == blob.size &&
                          digest_of(*data, Digest(blob.digest).algorithm()).text() == blob.digest;
    return is_right ? data : std::nullopt;
}
