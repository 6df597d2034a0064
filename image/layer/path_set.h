// Paths with every directory above them, each component kept once: memory and time are those of the
// text, however deep the paths are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

class PathSet {
public:
    // Of "a/b": "a", too. Clean paths (clean_path): no empty components, no slash at the ends.
    void insert(std::string_view path) {
        uint32_t node = 0;
        for (const std::string_view part : Parts(path))
            node = nodes_.try_emplace({node, std::string(part)}, uint32_t(nodes_.size() + 1))
                       .first->second;
    }
    bool contains(std::string_view path) const {
        uint32_t node = 0;
        for (const std::string_view part : Parts(path)) {
            const auto found = nodes_.find({node, std::string(part)});
            if (found == nodes_.end()) return false;
            node = found->second;
        }
        return true;
    }
    // All of them, each after the one above it, which is named by its place in the list. The first
    // is what all paths begin at.
    struct Node {
        uint32_t above;
        std::string_view name;
    };
    std::vector<Node> nodes() const {
        std::vector<Node> all(nodes_.size() + 1);
        for (const auto& [key, number] : nodes_) all[number] = {key.above, key.name};
        return all;
    }

private:
    struct Key {
        uint32_t above;
        std::string name;
        bool operator==(const Key&) const = default;
    };
    struct Hash {
        size_t operator()(const Key& key) const {
            return std::hash<std::string>()(key.name) ^ (size_t(key.above) * 0x9e3779b97f4a7c15u);
        }
    };
    // The components of a path, one after the other.
    class Parts {
    public:
        explicit Parts(std::string_view path) : path_(path) {}
        struct Iterator {
            std::string_view rest, part;
            bool at_end = false;
            void next() {
                at_end = rest.empty();
                part = rest.substr(0, rest.find('/'));
                rest.remove_prefix(std::min(part.size() + 1, rest.size()));
            }
            Iterator& operator++() { return next(), *this; }
            std::string_view operator*() const { return part; }
            bool operator!=(const Iterator& other) const { return at_end != other.at_end; }
        };
        Iterator begin() const {
            Iterator first{.rest = path_, .part = {}};
            first.next();
            return first;
        }
        Iterator end() const { return {.rest = {}, .part = {}, .at_end = true}; }

    private:
        std::string_view path_;
    };

    std::unordered_map<Key, uint32_t, Hash> nodes_;
};
