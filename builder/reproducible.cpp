// What is hard: people want to know which step and which file, not which digest. So layers are held
// against each other by number, the step that made one is found in the history, and of each entry
// what differs is named: a time, a mode, the content.
#include "builder/reproducible.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "image/layer/tar_file.h"
#include "image/layer/tar_stream.h"

namespace {

// What is said of an entry, by the words in which a difference is told.
using Looks = std::map<std::string, std::string>;

Looks looks_of(const TarEntry& entry, TarStream& tar) {
    Looks looks = {{"kind", str(int(entry.type))},
                   {"mode", str(entry.mode)},
                   {"owner", str(entry.uid, ":", entry.gid)},
                   {"time", str(entry.modified.tv_sec)},
                   {"link target", entry.target},
                   {"device number", str(entry.device_major, ":", entry.device_minor)}};
    for (const auto& [name, value] : entry.xattrs) looks["attribute " + name] = value;
    Hasher content;
    while (const auto block = tar.read()) {
        content.field(str(block->offset));
        content.update(block->data);
    }
    looks["content"] = content.finish().text();
    return looks;
}

std::map<std::string, Looks> entries_of(const Store& store, const spec::Descriptor& layer) {
    std::map<std::string, Looks> out;
    const UniqueFd blob = store.open_blob(Digest(layer.digest));
    TarFile file(blob.get());
    TarStream tar([&] { return file.read(); });
    while (const TarEntry* entry = tar.next()) {
        const std::string name = entry->name;
        out[name] = looks_of(*entry, tar);
    }
    return out;
}

std::string differing_words(const Looks& first, const Looks& second) {
    std::vector<std::string> words;
    for (const auto& [word, value] : first)
        if (const auto other = second.find(word); other == second.end() || other->second != value)
            words.push_back(word);
    for (const auto& [word, value] : second)
        if (!first.contains(word)) words.push_back(word);
    return join(words, ", ");
}

// The instruction that made the layer of that number.
std::string step_of(const Image& image, size_t layer) {
    for (const spec::History& each : image.config.history)
        if (!each.empty_layer && layer-- == 0) return visible(each.created_by);
    return "a layer";
}

void compare_layers(const Store& store, const spec::Descriptor& first,
                    const spec::Descriptor& second, const std::string& step,
                    std::vector<std::string>& out) {
    const auto before = entries_of(store, first), after = entries_of(store, second);
    for (const auto& [name, looks] : before) {
        const auto other = after.find(name);
        if (other == after.end())
            out.push_back(str(step, ": /", visible(name), ": only in the first build"));
        else if (other->second != looks)
            out.push_back(
                str(step, ": /", visible(name), ": ", differing_words(looks, other->second)));
    }
    for (const auto& [name, looks] : after)
        if (!before.contains(name))
            out.push_back(str(step, ": /", visible(name), ": only in the second build"));
}

}  // namespace

std::vector<std::string> differences_of(const Store& store, const Image& first,
                                        const Image& second) {
    std::vector<std::string> out;
    if (first.descriptor.digest == second.descriptor.digest) return out;
    const auto &before = first.manifest.layers, &after = second.manifest.layers;
    for (size_t i = 0; i < std::min(before.size(), after.size()); ++i)
        if (before[i].digest != after[i].digest)
            compare_layers(store, before[i], after[i], step_of(first, i), out);
    if (before.size() != after.size())
        out.push_back(
            str("the first build has ", before.size(), " layers, the second ", after.size()));
    if (out.empty()) out.emplace_back("the configs of the two builds differ");
    return out;
}
