// A tree as text, file by file, with all that stat(2), readlink(2), listxattr(2) and read(2) say of
// it: the same for a directory of a host and for a FileTree, so that one can be held against the
// other.
#pragma once

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/directory.h"
#include "base/sys.h"
#include "image/layer/file_tree.h"

struct Listing {
    std::map<std::string, std::string> lines;     // by path; the root is ""
    std::map<std::string, timespec> directories;  // their times
};

namespace listing {

inline std::string content_text(const std::string& content) {
    if (content.size() < 40) return quoted(content);
    return str(content.size(), " bytes, ", std::hash<std::string>()(content));
}

inline std::string line(const struct stat& info, const std::string& more,
                        const std::map<std::string, std::string>& xattrs) {
    std::string text = str(info.st_mode, " ", info.st_uid, ":", info.st_gid, " ", more);
    if (!S_ISDIR(info.st_mode))
        text += str(" ", info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, " links ", info.st_nlink);
    for (const auto& [name, value] : xattrs) text += str(" ", name, "=", quoted(value));
    return text;
}

inline std::string tar_content(const FileTree& tree, const FileTree::File& file,
                               const std::vector<std::string>& tars) {
    std::string content(file.size, '\0');
    const std::vector<TarEntry::Segment> whole{{0, file.size}};
    const auto segments = tree.segments(file);
    uint64_t at = file.place;
    for (const TarEntry::Segment& segment : segments ? *segments : std::span(whole)) {
        content.replace(segment.offset, segment.size, tars[file.tar].substr(at, segment.size));
        at += segment.size;
    }
    return content;
}

}  // namespace listing

// `tars`: their bytes, in the tree's order.
inline Listing listing_of(const FileTree& tree, const std::vector<std::string>& tars) {
    Listing all;
    std::map<FileTree::Id, std::string> first;
    std::vector<std::pair<std::string, FileTree::Id>> ahead{{"", FileTree::root}};
    while (!ahead.empty()) {
        const auto [path, id] = ahead.back();
        ahead.pop_back();
        const FileTree::File& file = tree.file(id);
        struct stat info{};
        info.st_mode = file.mode, info.st_uid = file.uid, info.st_gid = file.gid;
        info.st_mtim = file.modified, info.st_nlink = file.links;
        std::map<std::string, std::string> xattrs;
        for (const uint32_t number : tree.attributes(file))
            xattrs[tree.attribute(number).name] = tree.attribute(number).value;
        std::string more;
        if (file.is_directory()) {
            all.directories[path] = file.modified;
            auto entries = tree.entries(id);
            std::ranges::reverse(entries);
            for (const auto& [name, in] : entries)
                ahead.emplace_back(path + "/" + std::string(name), in);
        } else {
            if (S_ISREG(file.mode))
                more = listing::content_text(listing::tar_content(tree, file, tars));
            if (S_ISLNK(file.mode)) more = str("-> ", tree.target(file));
            if (S_ISCHR(file.mode) || S_ISBLK(file.mode))
                more = str(major(file.place), ":", minor(file.place));
            more += " as " + first.try_emplace(id, path).first->second;
        }
        all.lines[path] = listing::line(info, more, xattrs);
    }
    return all;
}

inline Listing listing_of(const std::string& directory) {
    Listing all;
    std::map<ino_t, std::string> first;
    std::vector<std::string> ahead{""};
    while (!ahead.empty()) {
        const std::string path = ahead.back(), host = directory + path;
        ahead.pop_back();
        const struct stat info = sys::lstat(host);
        std::map<std::string, std::string> xattrs;
        std::string names(65536, '\0'), value(65537, '\0');
        names.resize(
            size_t(std::max<ssize_t>(::llistxattr(host.c_str(), names.data(), names.size()), 0)));
        for (const std::string& name : split(names, '\0')) {
            const ssize_t size =
                ::lgetxattr(host.c_str(), name.c_str(), value.data(), value.size());
            if (!name.empty() && name != "security.selinux" && size >= 0)
                xattrs[name] = value.substr(0, size_t(size));
        }
        std::string more;
        if (S_ISDIR(info.st_mode)) {
            all.directories[path] = info.st_mtim;
            std::vector<std::string> names_there =
                names_in(sys::open(host, O_RDONLY | O_DIRECTORY).get(), "a directory");
            std::ranges::sort(names_there, std::greater());
            for (const std::string& name : names_there) ahead.push_back(path + "/" + name);
        } else {
            if (S_ISREG(info.st_mode))
                more = listing::content_text(
                    sys::read_all(sys::open(host, O_RDONLY).get(), size_t(1) << 30));
            if (S_ISLNK(info.st_mode)) {
                std::string target(size_t(info.st_size), '\0');
                target.resize(size_t(
                    std::max<ssize_t>(::readlink(host.c_str(), target.data(), target.size()), 0)));
                more = "-> " + target;
            }
            if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode))
                more = str(major(info.st_rdev), ":", minor(info.st_rdev));
            more += " as " + first.try_emplace(info.st_ino, path).first->second;
        }
        all.lines[path] = listing::line(info, more, xattrs);
    }
    return all;
}

// "" or the first file that the two do not have alike.
inline std::string difference(const Listing& is, const Listing& should_be) {
    for (const auto& [path, line] : should_be.lines) {
        const auto at = is.lines.find(path);
        if (at == is.lines.end()) return str("there is no ", quoted(path), ": ", line);
        if (at->second != line)
            return str(quoted(path), " is ", at->second, ", but should be ", line);
    }
    for (const auto& [path, line] : is.lines)
        if (!should_be.lines.contains(path)) return str(quoted(path), " should not be: ", line);
    return "";
}

// The same of the times of directories, but for those that were changed only now.
inline std::string difference_of_times(const Listing& is, const Listing& should_be, time_t now) {
    for (const auto& [path, time] : should_be.directories) {
        const timespec& there = is.directories.at(path);
        if (time.tv_sec >= now) continue;
        if (there.tv_sec != time.tv_sec || there.tv_nsec != time.tv_nsec)
            return str("the time of ", quoted(path), " is ", there.tv_sec, ".", there.tv_nsec,
                       ", but should be ", time.tv_sec, ".", time.tv_nsec);
    }
    return "";
}
