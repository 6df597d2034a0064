#include "base/path.h"

#include <limits.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"

std::string absolute_path(const std::string& typed) {
    if (typed.empty()) throw Error("an empty path names nothing");
    std::string whole = typed;
    if (!typed.starts_with('/')) {
        char here[PATH_MAX];
        if (!::getcwd(here, sizeof here))
            throw SysError("the current directory, where ", quoted(typed), " is looked for");
        whole = str(here, "/", typed);
    }
    whole = std::filesystem::path(whole).lexically_normal().string();
    while (whole.size() > 1 && whole.back() == '/') whole.pop_back();
    return whole;
}
