// Layers made by hand, and a place to apply them that notices when something is reached outside of
// it.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "base/sys.h"
#include "image/layer/apply.h"
#include "tests/unit/catch.h"

struct Item {
    std::string name;
    char type = 'f';           // f d l(symlink) h(ard link) c(har device 0:0)
    std::string content = {};  // or the target
    unsigned mode = 0644;
};

inline std::string make_tar(const std::vector<Item>& items) {
    std::string out(1 << 20, '\0');
    size_t used = 0;
    archive* writer = archive_write_new();
    archive_write_set_format_pax_restricted(writer);
    archive_write_open_memory(writer, out.data(), out.size(), &used);
    for (const Item& item : items) {
        archive_entry* entry = archive_entry_new();
        archive_entry_copy_pathname(entry, item.name.c_str());
        archive_entry_set_filetype(entry, item.type == 'd'   ? AE_IFDIR
                                          : item.type == 'l' ? AE_IFLNK
                                          : item.type == 'c' ? AE_IFCHR
                                                             : AE_IFREG);
        archive_entry_set_perm(entry, item.type == 'd' && item.mode == 0644 ? 0755 : item.mode);
        if (item.type == 'l') archive_entry_copy_symlink(entry, item.content.c_str());
        if (item.type == 'h') archive_entry_copy_hardlink(entry, item.content.c_str());
        if (item.type == 'f') archive_entry_set_size(entry, la_int64_t(item.content.size()));
        archive_entry_set_mtime(entry, 1000, 0);
        archive_write_header(writer, entry);
        if (item.type == 'f') archive_write_data(writer, item.content.data(), item.content.size());
        archive_entry_free(entry);
    }
    archive_write_close(writer);
    archive_write_free(writer);
    out.resize(used);
    return out;
}

// outside/ with a file that must never change, beside the root.
struct Place {
    std::string dir;
    explicit Place(const std::string& parent = "/tmp") : dir(parent + "/keg-layers-XXXXXX") {
        if (!::mkdtemp(dir.data())) throw SysError("mkdtemp in ", parent);
        sys::mkdir(dir + "/root", 0755);
        sys::mkdir(dir + "/outside", 0755);
        write_file(dir + "/outside/secret", "untouched");
    }
    ~Place() { sys::remove_tree(dir); }
    std::string root() const { return dir + "/root"; }
    Applied apply(const std::string& tar) const {
        write_file(dir + "/layer", tar);
        return apply_layer(sys::open(dir + "/layer", O_RDONLY).get(), root());
    }
    Applied apply(const std::vector<Item>& items) const { return apply(make_tar(items)); }
    std::string read(const std::string& path) const {
        return read_file_if_exists(root() + "/" + path).value_or("(none)");
    }
    bool outside_is_untouched() const {
        struct stat info{};
        return read_file(dir + "/outside/secret") == "untouched" &&
               ::stat((dir + "/outside/new").c_str(), &info) < 0 &&
               ::stat((dir + "/new").c_str(), &info) < 0;
    }
};

inline bool is_root() {
    if (::geteuid() == 0) return true;
    WARN("skipped: applying layers needs root");
    return false;
}
