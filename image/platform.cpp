// One machine has several names (uname's "aarch64" is Go's "arm64"), and an empty variant means one
// that depends on the architecture: both sides are made whole before they are compared. An older
// variant runs on a newer machine, but not the other way round, and it is taken only if the user
// named none and there is no exact one.
#include "image/platform.h"

#include <algorithm>

#include "base/error.h"
#include "image/store.h"

namespace {

struct Alias {
    const char *typed, *architecture, *variant;
};
constexpr Alias aliases[] = {
    {"x86_64", "amd64", ""}, {"x86-64", "amd64", ""}, {"aarch64", "arm64", ""},
    {"armhf", "arm", "v7"},  {"armel", "arm", "v6"},  {"i386", "386", ""},
    {"armv7l", "arm", "v7"}, {"armv6l", "arm", "v6"}, {"i686", "386", ""},
};

// The variant that an empty one means.
std::string default_variant(const spec::Platform& platform) {
    if (platform.architecture == "arm64") return "v8";
    if (platform.architecture == "arm") return "v7";
    if (platform.architecture == "amd64") return "v1";
    return "";
}

std::string variant_of(const spec::Platform& platform) {
    return platform.variant.empty() ? default_variant(platform) : platform.variant;
}

}  // namespace

spec::Platform platform_of(const spec::ImageConfig& config) {
    return {.architecture = config.architecture,
            .os = config.os,
            .os_version = config.os_version,
            .os_features = config.os_features,
            .variant = config.variant};
}

spec::Platform parse_platform(const std::string& text) {
    auto words = split(lower(text), '/');
    if (words.size() == 1) words.insert(words.begin(), "linux");
    if (words.size() > 3 || std::ranges::any_of(words, &std::string::empty))
        throw Error(
            ::quoted(text),
            " is an invalid OS component of a platform: expected os/architecture[/variant]");
    spec::Platform out{
        .architecture = words[1], .os = words[0], .variant = words.size() > 2 ? words[2] : ""};
    for (const Alias& alias : aliases)
        if (out.architecture == alias.typed) {
            out.architecture = alias.architecture;
            if (out.variant.empty()) out.variant = alias.variant;
        }
    return out;
}

std::string shown_platform(const std::string& typed) {
    const spec::Platform platform = parse_platform(typed);
    return str(platform.os, "/", platform.architecture, platform.variant.empty() ? "" : "/",
               platform.variant);
}

const spec::Descriptor* find_platform(const spec::Index& index, const std::string& platform) {
    const spec::Platform wanted = parse_platform(platform.empty() ? host_platform() : platform);
    const spec::Descriptor* other_variant = nullptr;
    for (const spec::Descriptor& entry : index.manifests) {
        if (!entry.platform || entry.platform->os != wanted.os ||
            entry.platform->architecture != wanted.architecture)
            continue;
        if (variant_of(*entry.platform) == variant_of(wanted)) return &entry;
        // Machines run the older variants too: better than nothing, unless one was asked for.
        if (wanted.variant.empty() && !other_variant &&
            variant_of(*entry.platform) < variant_of(wanted))
            other_variant = &entry;
    }
    return other_variant;
}
