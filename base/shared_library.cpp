#include "base/shared_library.h"

#include <dlfcn.h>

#include "base/error.h"

SharedLibrary::SharedLibrary(const char* soname, const char* who)
    : who_(who), soname_(soname), handle_(::dlopen(soname, RTLD_NOW | RTLD_LOCAL)) {}

void* SharedLibrary::symbol(const char* name) const {
    void* const found = handle_ ? ::dlsym(handle_, name) : nullptr;
    if (!found) throw Error(who_, " need ", soname_, ": ", ::dlerror());
    return found;
}
