// What is hard: what lies below decides where a file comes. A destination that is a directory takes
// the file into itself, one that is a link leads elsewhere, inside the image; and what is copied
// over must be of the same kind. All that is looked up in a tree in memory, so that nothing of the
// image is mounted, and no file is made only to be read again. A layer has each path once, a
// directory before what is in it: so the files are put in order first.
#include "builder/steps/copy.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/sys.h"
#include "base/text.h"
#include "builder/steps/paths.h"
#include "image/digest.h"
#include "image/layer/difference.h"
#include "image/layer/rules.h"
#include "image/layer/tar_writer.h"

namespace {

constexpr size_t block = size_t(1) << 20;

}  // namespace

class CopyLayer {
    // Something of the layer: a picked file, a file of the Dockerfile's, or a directory on the way.
    struct Placed {
        std::string path;
        Pick* pick = nullptr;
        const InlineFile* file = nullptr;

        bool is_directory() const { return pick ? S_ISDIR(pick->info.st_mode) : !file; }
    };

public:
    CopyLayer(FileTree& tree, const CopyLooks& looks) : tree_(tree), looks_(looks) {}

    void place(std::vector<Pick>& picks, const CopyFiles& copy) {
        target_ = follow_links(tree_, clean_path(copy.destination));
        const bool is_directory = copy.destination.ends_with('/') || kind_of(target_) == S_IFDIR;
        for (Pick& pick : picks) {
            if (pick.is_named) {
                put({.path = is_directory ? path_below(target_, pick.under) : target_,
                     .pick = &pick});
            } else if (pick.under.empty()) {  // of what it looks like nothing comes along
                parents(path_below(target_, "."));
            } else {
                put({.path = path_below(target_, pick.under), .pick = &pick});
            }
        }
        for (const InlineFile& file : copy.files)
            put({.path = is_directory ? path_below(target_, file.name) : target_, .file = &file});
    }

    void place_directory(const std::string& path) {
        target_ = follow_links(tree_, clean_path(path));
        parents(path_below(target_, "."));
    }

    std::vector<std::string> taken_from_below() const {
        std::vector<std::string> out = {target_};
        for (const Placed& each : placed_)
            if (!each.pick && !each.file) out.push_back(each.path);
        if (const Placed* const first = first_of_picks()) out.push_back(first->path);
        return out;
    }

    Diff write(const SourceTree* source, const LayerSink& sink) {
        sort();
        TarWriter tar(sink);
        for (const Placed& each : placed_) {
            if (each.file)
                inlined(tar, each);
            else if (each.pick)
                picked(tar, *source, each);
            else
                directory(tar, each);
            ++result_.entries;
        }
        tar.finish();
        return result_;
    }

private:
    // Whether a file became the destination or came into it, its path says.
    const Placed* first_of_picks() const {
        const auto is_file = [](const Placed& each) { return each.pick || each.file; };
        const auto found = std::ranges::find_if(placed_, is_file);
        return found == placed_.end() ? nullptr : &*found;
    }

    // 0: there is nothing.
    mode_t kind_of(const std::string& path) {
        const auto id = tree_.look_up(path);
        return id ? tree_.file(*id).mode & S_IFMT : 0;
    }

    // What comes onto something must be of its kind: a directory, or none.
    void require(const std::string& path, bool is_directory) {
        const mode_t there = kind_of(path);
        if (there == 0 || (there == S_IFDIR) == is_directory) return;
        if (is_directory) throw Error("cannot copy to non-directory: /", path);
        throw Error("cannot replace to directory /", path, " with file");
    }

    // The directories that lack on the way to it.
    void parents(const std::string& path) {
        const std::string parent = parent_path(path);
        if (parent == last_parent_) return;
        last_parent_ = parent;
        for (size_t slash = 0; slash != std::string::npos && !parent.empty();) {
            slash = parent.find('/', slash + 1);
            const std::string level = parent.substr(0, slash);
            const mode_t there = kind_of(level);
            if (there == S_IFDIR || made_.contains(level)) continue;
            if (there != 0) throw Error("cannot copy to non-directory: /", level);
            made_.emplace(level, true);
            placed_.push_back({.path = level});
        }
    }

    void put(Placed each) {
        if (each.path.empty()) throw Error("cannot replace to directory / with file");
        parents(each.path);
        require_name(each.path.substr(each.path.rfind('/') + 1), each.path);
        require(each.path, each.is_directory());
        const auto [before, is_new] = made_.emplace(each.path, each.is_directory());
        if (!is_new && before->second != each.is_directory()) {
            if (each.is_directory()) throw Error("cannot copy to non-directory: /", each.path);
            throw Error("cannot replace to directory /", each.path, " with file");
        }
        is_repeated_ |= !is_new;
        placed_.push_back(std::move(each));
    }

    // Of those with one path the last stays.
    void sort() {
        const TreeOrder order;
        const auto comes_before = [&](const Placed& a, const Placed& b) {
            return order(a.path, b.path);
        };
        if (!std::ranges::is_sorted(placed_, comes_before))
            std::ranges::stable_sort(placed_, comes_before);
        if (!is_repeated_) return;
        std::vector<Placed> kept;
        for (Placed& each : placed_) {
            if (!kept.empty() && kept.back().path == each.path)
                kept.back() = std::move(each);
            else
                kept.push_back(std::move(each));
        }
        placed_ = std::move(kept);
    }

    unsigned mode_of(unsigned mode, bool is_directory) const {
        return looks_.mode ? looks_.mode->apply(mode, is_directory) : mode;
    }
    // Of a directory on the way.
    unsigned made_mode() const {
        return looks_.mode ? looks_.mode->absolute().value_or(0755) & 01777 : 0755;  // as mkdir(2)
    }

    TarEntry entry_of(const Placed& each, TarEntry::Type type, unsigned mode) const {
        const CopyLooks::Owner owner = looks_.owner.value_or(CopyLooks::Owner{});
        return {.type = type,
                .name = each.is_directory() ? each.path + "/" : each.path,
                .target = {},
                .mode = mode,
                .uid = owner.uid,
                .gid = owner.gid,
                .modified = {looks_.latest, 0}};
    }

    void directory(TarWriter& tar, const Placed& each) {
        TarEntry entry = entry_of(each, TarEntry::Type::directory, made_mode());
        if (!looks_.owns_parents) entry.uid = entry.gid = 0;
        tar.entry(entry);
    }

    void inlined(TarWriter& tar, const Placed& each) {
        TarEntry entry = entry_of(each, TarEntry::Type::file, mode_of(0644, false));
        entry.size = each.file->content.size();
        tar.entry(entry);
        tar.data(each.file->content);
        result_.bytes += entry.size;
    }

    void picked(TarWriter& tar, const SourceTree& source, const Placed& each) {
        Pick& pick = *each.pick;
        if (S_ISREG(pick.info.st_mode)) return regular(tar, source, each);
        tar.entry(describe(each));
    }

    TarEntry describe(const Placed& each) const {
        const struct stat& info = each.pick->info;
        TarEntry entry = entry_of(
            each, tar_type(info.st_mode),
            S_ISLNK(info.st_mode) ? 0777 : mode_of(info.st_mode & 07777, S_ISDIR(info.st_mode)));
        if (!looks_.owner) entry.uid = info.st_uid, entry.gid = info.st_gid;
        entry.modified = {std::min<int64_t>(info.st_mtim.tv_sec, looks_.latest), 0};
        entry.target = each.pick->target;
        if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode))
            entry.device_major = major(info.st_rdev), entry.device_minor = minor(info.st_rdev);
        return entry;
    }

    void regular(TarWriter& tar, const SourceTree& source, const Placed& each) {
        Pick& pick = *each.pick;
        if (pick.info.st_nlink > 1) {
            const auto [first, is_new] =
                links_.try_emplace({pick.info.st_dev, pick.info.st_ino}, each.path);
            if (!is_new) {
                TarEntry entry = describe(each);
                entry.type = TarEntry::Type::hard_link;
                entry.target = first->second;
                return tar.entry(entry);
            }
        }
        const UniqueFd file = open_picked(source, pick);
        const struct stat info = sys::fstat(file.get());
        pick.info = info;
        TarEntry entry = describe(each);
        entry.size = uint64_t(info.st_size);
        if (!pick.capability.empty()) entry.xattrs["security.capability"] = pick.capability;
        tar.entry(entry);
        content(tar, file.get(), pick);
        result_.bytes += entry.size;
    }

    // Hashed once more: what is remembered of the step is what was written.
    void content(TarWriter& tar, int file, Pick& pick) {
        Hasher hasher;
        buffer_.resize(block);
        for (uint64_t left = uint64_t(pick.info.st_size); left > 0;) {
            const ssize_t n = ::read(file, buffer_.data(), size_t(std::min<uint64_t>(left, block)));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) throw SysError("read ", quoted(pick.source));
            if (n == 0) throw Error(quoted(pick.source), " became shorter while it was read");
            const std::string_view piece(buffer_.data(), size_t(n));
            hasher.update(piece);
            tar.data(piece);
            left -= uint64_t(n);
        }
        pick.digest = FileDigests::bytes_of(hasher.finish());
    }

    FileTree& tree_;
    const CopyLooks& looks_;
    std::string target_, last_parent_ = "/";
    std::vector<Placed> placed_;
    std::map<std::string, bool, std::less<>> made_;  // of the layer: is it a directory?
    bool is_repeated_ = false;
    std::map<std::pair<dev_t, ino_t>, std::string> links_;
    std::string buffer_;
    Diff result_;
};

std::string follow_links(FileTree& tree, const std::string& path) {
    return follow_path(path, [&](const std::string& at, bool) -> std::optional<std::string> {
        const auto id = tree.look_up(at);
        if (!id || !S_ISLNK(tree.file(*id).mode)) return {};
        return std::string(tree.target(tree.file(*id)));
    });
}

PlacedCopy::PlacedCopy(std::vector<Pick>& picks, const CopyFiles& copy, const CopyLooks& looks,
                       FileTree& below)
    : layer_(std::make_unique<CopyLayer>(below, looks)) {
    layer_->place(picks, copy);
}
PlacedCopy::PlacedCopy(PlacedCopy&&) noexcept = default;
PlacedCopy::~PlacedCopy() = default;

std::vector<std::string> PlacedCopy::taken_from_below() const { return layer_->taken_from_below(); }

Diff PlacedCopy::write(const SourceTree& tree, const LayerSink& sink) {
    return layer_->write(&tree, sink);
}

Diff write_directories(const std::string& path, const CopyLooks& looks, FileTree& below,
                       const LayerSink& sink) {
    CopyLayer layer(below, looks);
    layer.place_directory(path);
    return layer.write(nullptr, sink);
}
