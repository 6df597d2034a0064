// What is hard here is that a directory is part of the layer if anything in it is, at any depth,
// and that is known only after all of it was looked at. So the directories that both trees have are
// walked once, with a list of what is ahead; then what was changed is told upwards, from the last
// to the first; and only then the new tree is made.
#include "image/layer/layer_tree.h"

#include <algorithm>
#include <unordered_map>

namespace {

class LayerTree {
public:
    LayerTree(const FileTree& before, const FileTree& after) : before_(before), after_(after) {}

    FileTree make() {
        for (const FileTree::Tar& tar : after_.tars()) layer_.add_tar(tar);
        shared_.push_back({.id = FileTree::root});
        for (size_t i = 0; i < shared_.size(); ++i) compare(i);
        for (size_t i = shared_.size(); i-- > 1;)
            if (shared_[i].is_changed) shared_[shared_[i].above].is_changed = true;
        layer_.describe(FileTree::root, looks_of(FileTree::root));
        made_.emplace(FileTree::root, FileTree::root);
        for (const Shared& directory : shared_)
            if (directory.is_changed || directory.id == FileTree::root) make_shared(directory);
        return std::move(layer_);
    }

private:
    struct Change {
        std::string_view name;
        FileTree::Id file;  // none: it is gone
        bool hides_directory = false;
    };
    struct Shared {  // a directory that was there before
        FileTree::Id id;
        size_t above = 0;
        std::string_view name = {};
        bool is_changed = false;
        std::vector<Change> changes = {};
    };

    void compare(size_t place);
    void compare_names(size_t place, const FileTree::Entry* was, const FileTree::Entry* is);
    bool looks_otherwise(FileTree::Id directory) const;
    void make_shared(const Shared& directory);
    void make_new(FileTree::Id directory, const Change& change);
    FileTree::Id make_file(FileTree::Id id);
    FileTree::File looks_of(FileTree::Id id, bool is_opaque = false);

    const FileTree &before_, &after_;
    FileTree layer_;
    std::vector<Shared> shared_;                           // each after that above it
    std::unordered_map<FileTree::Id, FileTree::Id> made_;  // by what they are in after_
};

// Both lists are sorted.
void LayerTree::compare(size_t place) {
    const FileTree::Id id = shared_[place].id;
    shared_[place].is_changed = looks_otherwise(id);
    const auto were = before_.entries(id), are = after_.entries(id);
    auto was = were.begin();
    auto is = are.begin();
    while (was != were.end() || is != are.end()) {
        const bool takes_was = was != were.end() && (is == are.end() || was->name <= is->name),
                   takes_is = is != are.end() && (was == were.end() || is->name <= was->name);
        compare_names(place, takes_was ? &*was : nullptr, takes_is ? &*is : nullptr);
        if (takes_was) ++was;
        if (takes_is) ++is;
    }
    shared_[place].is_changed |= !shared_[place].changes.empty();
}

void LayerTree::compare_names(size_t place, const FileTree::Entry* was, const FileTree::Entry* is) {
    if (!is) return shared_[place].changes.push_back({was->name, FileTree::none});
    const bool is_directory = after_.file(is->file).is_directory();
    if (was && was->file == is->file) {
        if (is_directory) shared_.push_back({.id = is->file, .above = place, .name = is->name});
        return;
    }
    const bool hides = is_directory && was && before_.file(was->file).is_directory();
    shared_[place].changes.push_back({is->name, is->file, hides});
}

bool LayerTree::looks_otherwise(FileTree::Id directory) const {
    const FileTree::File &was = before_.file(directory), &is = after_.file(directory);
    return was.mode != is.mode || was.uid != is.uid || was.gid != is.gid ||
           was.modified.tv_sec != is.modified.tv_sec ||
           was.modified.tv_nsec != is.modified.tv_nsec || was.attributes != is.attributes;
}

// That above it is made.
void LayerTree::make_shared(const Shared& directory) {
    if (directory.id != FileTree::root) {
        const FileTree::Id made = layer_.make(looks_of(directory.id));
        layer_.name(made_.at(shared_[directory.above].id), directory.name, made);
        made_.emplace(directory.id, made);
    }
    const FileTree::Id here = made_.at(directory.id);
    for (const Change& change : directory.changes) {
        if (change.file == FileTree::none)
            layer_.name(here, change.name, layer_.make({.mode = S_IFCHR}));
        else
            make_new(here, change);
    }
}

// With all that is in it.
void LayerTree::make_new(FileTree::Id directory, const Change& change) {
    struct Ahead {
        FileTree::Id id, made;
    };
    std::vector<Ahead> ahead;
    const auto make = [&](FileTree::Id in, std::string_view name, FileTree::Id id, bool is_opaque) {
        const bool is_directory = after_.file(id).is_directory();
        const FileTree::Id made =
            is_directory ? layer_.make(looks_of(id, is_opaque)) : make_file(id);
        layer_.name(in, name, made);
        if (is_directory) ahead.push_back({id, made});
    };
    make(directory, change.name, change.file, change.hides_directory);
    while (!ahead.empty()) {
        const Ahead next = ahead.back();
        ahead.pop_back();
        for (const auto& [name, id] : after_.entries(next.id)) make(next.made, name, id, false);
    }
}

FileTree::Id LayerTree::make_file(FileTree::Id id) {
    const auto known = made_.find(id);
    if (known != made_.end()) return known->second;
    const FileTree::File& file = after_.file(id);
    const FileTree::File looks = looks_of(id);
    const auto segments = after_.segments(file);
    const std::string_view target = S_ISLNK(file.mode) ? after_.target(file) : std::string_view{};
    const FileTree::Id made =
        segments ? layer_.make_sparse(looks, *segments) : layer_.make(looks, target);
    made_.emplace(id, made);
    return made;
}

FileTree::File LayerTree::looks_of(FileTree::Id id, bool is_opaque) {
    FileTree::File looks = after_.file(id);
    looks.links = 0, looks.particular = FileTree::none;
    std::vector<std::pair<std::string, std::string>> attributes;
    for (const uint32_t number : after_.attributes(after_.file(id)))
        attributes.emplace_back(after_.attribute(number).name, after_.attribute(number).value);
    if (is_opaque) attributes.emplace_back("trusted.overlay.opaque", "y");
    std::ranges::sort(attributes);
    std::vector<uint32_t> numbers;
    for (auto& [name, value] : attributes)
        numbers.push_back(layer_.attribute_number(std::move(name), std::move(value)));
    looks.attributes = layer_.attribute_set(std::move(numbers));
    return looks;
}

}  // namespace

FileTree layer_tree(const FileTree& before, const FileTree& after) {
    return LayerTree(before, after).make();
}
