#include "spec/sysctl.h"

#include <algorithm>

#include "base/error.h"

std::optional<std::string> spec::sysctl_path(std::string_view key) {
    std::string path(key);
    const size_t first = path.find_first_of("./");
    if (first != std::string::npos && path[first] == '.')
        for (char& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
    const auto is_name = [](const std::string& part) {
        return !part.empty() && part != "." && part != ".." && !part.contains('\0');
    };
    if (!std::ranges::all_of(split(path, '/'), is_name)) return {};
    return path;
}
