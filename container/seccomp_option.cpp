#include "container/seccomp_option.h"

#include "base/file.h"
#include "base/json.h"
#include "container/seccomp_profile.h"

static constexpr size_t most = 1 << 20;  // bytes of a profile

std::string load_seccomp_option(std::string_view typed) {
    std::string text(typed), name = "seccomp profile";
    if (text == "unconfined" || text == "builtin") return text;
    if (!text.starts_with('{')) {
        name = str("seccomp profile (", typed, ")");
        text = context(str("opening seccomp profile (", typed, ") failed"),
                       [&] { return read_file(std::string(typed), most); });
    }
    return context(name, [&] {
        read_seccomp_profile(text, seccomp_subject({}));
        return json::dump(json::parse(text));
    });
}

std::optional<spec::Seccomp> seccomp_profile_of(const std::string& kept,
                                                const std::vector<std::string>& capabilities) {
    if (kept == "unconfined") return {};
    if (kept.empty() || kept == "builtin") return default_seccomp_profile(capabilities);
    return context("decoding seccomp profile failed",
                   [&] { return read_seccomp_profile(kept, seccomp_subject(capabilities)); });
}
