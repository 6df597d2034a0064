// Whoever edits a Dockerfile may check it where no store is, or none that he may read: then images
// are not known, which is no error.
#include "builder/build_check.h"

#include <unistd.h>

#include <optional>

#include "base/error.h"
#include "image/reference.h"
#include "image/store.h"

namespace {

std::optional<Store> store_if_readable(const std::string& root) {
    // Opening one makes it.
    if (::access((root + "/oci-layout").c_str(), R_OK) < 0) return {};
    try {
        return Store(root);
    } catch (const Error&) {
        return {};
    }
}

std::optional<spec::ImageConfig> known_image(const Store& store, const std::string& name) {
    try {
        const auto found = store.find(name);
        if (!found || !found->name || !is_name(name, *found->name)) return {};
        return store.load(found->descriptor).config;
    } catch (const Error&) {  // told by the build
        return {};
    }
}

}  // namespace

LintResult check_build(const BuildText& text, const std::map<std::string, std::string>& build_args,
                       const std::string& store_root) {
    const std::optional<Store> store = store_if_readable(store_root);
    const auto image = [&](const std::string& name) {
        return store ? known_image(*store, name) : std::nullopt;
    };
    return lint(text.file, {.build_args = build_args,
                            .platform = host_platform(),
                            .image = image,
                            .ignored = &text.ignore});
}
