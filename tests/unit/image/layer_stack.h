// Stacks of layers, given and random, and both of what they can be made into: plain files in a
// directory, and a FileTree.
#pragma once

#include "image/layer/apply.h"
#include "tests/unit/damage.h"
#include "tests/unit/image/layer_place.h"
#include "tests/unit/image/listing.h"
#include "tests/unit/image/raw_tar.h"

using Stack = std::vector<std::string>;  // tars, lowest first

inline void add_layer(FileTree& tree, std::string_view tar, std::string_view tag = "tag") {
    tree.begin_layer(tag);
    TarStream stream([rest = tar]() mutable { return std::exchange(rest, {}); });
    while (const TarEntry* entry = stream.next()) tree.add(*entry);
    tree.end_layer(tar.size());
}

inline FileTree tree_of(const Stack& stack) {
    FileTree tree;
    for (size_t i = 0; i < stack.size(); ++i)
        add_layer(tree, stack[i], digest_of(stack[i] + std::to_string(i)).hex());
    return tree;
}

// On a file system in memory.
struct PlainFiles : Place {
    explicit PlainFiles(const Stack& stack) : Place("/dev/shm") {
        for (const std::string& tar : stack) apply(tar);
    }
};

inline std::string xattr_record(const std::string& name) { return "SCHILY.xattr." + name; }

// An access list: tag, rights, id, …
inline std::string acl(const std::vector<std::array<uint32_t, 3>>& entries) {
    std::string out("\2\0\0\0", 4);
    for (const auto& [tag, rights, id] : entries) {
        out += {char(tag), '\0', char(rights), '\0'};
        for (int i = 0; i < 4; ++i) out += char(id >> 8 * i);
    }
    return out;
}

namespace layer_stack {

template <class Chance>
std::string random_path(Chance& damage) {
    static const std::string names[] = {"a", "b", "c", "d", "l", "m"};
    std::string path;
    for (size_t depth = 1 + damage.below(3); depth > 0; --depth)
        path += (path.empty() ? "" : "/") + damage.one_of(names);
    return path;
}

inline std::string with_mark(const std::string& path, const std::string& mark) {
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? mark + path
                                      : path.substr(0, slash + 1) + mark + path.substr(slash + 1);
}

template <class Chance>
void add_random_entry(Chance& damage, std::vector<Raw>& entries, std::vector<std::string>& files) {
    const std::string path = random_path(damage);
    if (damage.below(6) == 0) {
        const std::string group = acl({{1, uint32_t(damage.below(8)), 0}, {4, 5, 0}, {0x20, 1, 0}});
        const std::string rich = acl({{1, 7, 0},
                                      {2, 4, 1000},
                                      {4, 5, 0},
                                      {0x10, uint32_t(damage.below(8)), 0},
                                      {0x20, 1, 0}});
        const std::pair<std::string, std::string> records[] = {
            {"SCHILY.xattr.user.x", "1"},
            {"SCHILY.xattr.user.y", std::string(damage.below(300), 'y')},
            {"SCHILY.xattr.trusted.t", "2"},
            {"SCHILY.xattr.trusted.overlay.opaque", "y"},
            {"SCHILY.xattr.security.capability",
             std::string("\0\0\0\2", 4) + std::string(16, '\1')},
            {"SCHILY.xattr.system.posix_acl_access", damage.below(2) ? group : rich},
            {"mtime", str(int(damage.below(2000)) - 1000, ".5000000", damage.one_of("123456789"))}};
        std::vector<std::pair<std::string, std::string>> chosen;
        for (const auto& record : records)
            if (damage.below(2) == 0) chosen.push_back(record);
        if (!chosen.empty()) entries.push_back(pax(chosen));
    }
    const unsigned mode = unsigned(damage.below(010000));
    const std::string uid = octal(damage.below(3000), 7);
    const std::string links[] = {"a", "/b", "../c", "b/c", "../../d", "l", "m/a", "nowhere", "."};
    switch (damage.below(14)) {
        case 0:
        case 1:
        case 2:
            entries.push_back({.name = path + "/", .type = '5', .mode = mode, .uid = uid});
            break;
        case 3: entries.push_back({.name = path, .type = '2', .link = damage.one_of(links)}); break;
        case 4:
        case 5:
            if (files.empty() && damage.below(10) != 0) break;
            entries.push_back({.name = path,
                               .type = '1',
                               .link = files.empty() || damage.below(30) == 0
                                           ? random_path(damage)
                                           : damage.one_of(files)});
            break;
        case 6: entries.push_back({.name = with_mark(path, ".wh.")}); break;
        case 7: entries.push_back({.name = path + "/.wh..wh..opq"}); break;
        case 8:
            entries.push_back({.name = path,
                               .type = char("346"[damage.below(3)]),
                               .mode = mode,
                               .major = unsigned(1 + damage.below(4000)),
                               .minor = unsigned(damage.below(1048575))});
            break;
        case 9: entries.push_back({.name = "./", .type = '5', .mode = mode, .uid = uid}); break;
        default:
            files.push_back(path);
            entries.push_back({.name = path,
                               .data = std::string(damage.below(3) * damage.below(700), 'x') + path,
                               .mode = mode,
                               .uid = uid});
    }
}

}  // namespace layer_stack

// One to four layers of a few names, so that all meets all. Some are refused. What is by chance is
// chosen as Damage does (damage.h).
template <class Chance>
Stack random_stack(Chance& damage) {
    Stack stack;
    std::vector<std::string> files;  // of any layer, most of them there
    for (size_t layers = 1 + damage.below(4); layers > 0; --layers) {
        std::vector<Raw> entries;
        for (size_t count = damage.below(25); count > 0; --count)
            layer_stack::add_random_entry(damage, entries, files);
        stack.push_back(raw_tar(entries));
    }
    return stack;
}
