#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "image/repack.h"
#include "image/validate/validate.h"
#include "spec/validate.h"

namespace {

constexpr size_t most_config = size_t(16) << 20;

bool is_directory(const std::string& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

void validate_bundle(const std::string& directory, Findings& findings) {
    const auto text = read_file_if_exists(directory + "/config.json", most_config);
    if (!text) return findings.add("missing-file", "config.json", "", "is not there");
    const spec::Reading reading = spec::read_and_validate(*text);
    for (const spec::Violation& violation : reading.violations)
        findings.add("invalid-config", "config.json", "",
                     str(violation.message, " (", violation.document, "#", violation.section, ")"));
    const std::string root = reading.config.root ? reading.config.root->path : "";
    if (!root.empty() && !is_directory(root.starts_with('/') ? root : str(directory, "/", root)))
        findings.add("missing-rootfs", "config.json", "root.path",
                     str("is ", quoted(root), ", where no directory is"));
    if (!sys::exists(directory + "/keg.json")) return;
    try {
        origin_of(directory);
    } catch (const Error& e) {
        findings.add("invalid-origin", "keg.json", "", e.what());
    }
}
