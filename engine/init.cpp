#include "engine/init.h"

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/sys.h"

std::string init_program() {
    const char* named = std::getenv("KEG_INIT");
    const std::string path =
        named && *named
            ? named
            : std::filesystem::read_symlink("/proc/self/exe").parent_path() / "keg-init";
    if (!sys::exists(path))
        throw Error("--init needs the program keg-init beside keg, which is not there: ", path);
    return path;
}
