// A library that is loaded when it is first needed, for what few commands do: the dynamic linker
// takes longer over some than a whole start.
#pragma once

class SharedLibrary {
public:
    // By its soname. `who` needs it, for the message: "registries". Never unloaded.
    SharedLibrary(const char* soname, const char* who);

    // A function of it, as a pointer of that type. Throws Error if the library or the function is
    // not there.
    template <class Function>
    Function find(const char* name) const {
        return reinterpret_cast<Function>(symbol(name));
    }

private:
    void* symbol(const char* name) const;

    const char* who_;
    const char* soname_;
    void* handle_;
};
