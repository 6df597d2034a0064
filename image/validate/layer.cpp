// What is hard: to go on where a reader stops. What is wrong with the compression or with the tar
// ends the entries, but not the bytes, whose digest is still asked for. What is wrong with an entry
// does not end the entries; only the tree of the stack is of no use after an entry that it cannot
// make, and is given up. And a layer may be made to be long in judging: names and files have a
// bound, and what is looked up is in ordered maps, where no choice of names makes a look-up slow.
#include "image/validate/layer.h"

#include <limits>
#include <map>
#include <set>

#include "base/error.h"
#include "base/sys.h"
#include "image/digest.h"
#include "image/files.h"
#include "image/layer/erofs_layer.h"
#include "image/layer/rules.h"

namespace {

constexpr size_t most_files = 2'000'000;             // of a stack
constexpr size_t most_names = size_t(256) << 20;     // bytes, of a layer
constexpr uint64_t most_image = uint64_t(32) << 30;  // of EROFS: it is copied to the disk
constexpr int64_t large_owner = std::numeric_limits<int32_t>::max();

std::string shown_path(const std::string& path) { return path.empty() ? "." : path; }

// A layer's entries against the layers below.
class OnStack {
public:
    OnStack(const LayerQuestion& question, LayerStack& stack, Findings& findings)
        : question_(question), stack_(stack), findings_(findings) {
        if (stack_.tree) stack_.tree->begin_layer(question.tag);
    }

    void add(const TarEntry& entry) {
        if (!stack_.tree) return;
        const std::string path = clean_path(entry.name);
        try {
            described_.insert(path);
            const Mark mark = mark_of(path);
            if (entry.type == TarEntry::Type::hard_link && mark.kind == Mark::Kind::none &&
                !can_link(entry, path))
                return;
            if (mark.kind == Mark::Kind::whiteout) look_below(path, mark);
            make(entry, path, mark.kind != Mark::Kind::none);
        } catch (const Error& e) {
            found("unusable-entry", path, e.what());
            stack_.tree.reset();
        }
    }

    void end(uint64_t tar_size) {
        if (!stack_.tree) return;
        stack_.tree->end_layer(tar_size);
        for (const std::string& path : implied_)
            if (!described_.contains(path))
                found("implied-parent", path, "is in no layer as a directory, but files in it are");
    }

private:
    void found(RuleCode code, const std::string& path, std::string problem) {
        findings_.add(code, question_.document, shown_path(path), std::move(problem));
    }

    bool can_link(const TarEntry& entry, const std::string& path) {
        if (climbs_out(entry.target)) {
            found("escaping-entry", path,
                  str("is a hard link to ", quoted(entry.target), ", which leads out of the root"));
            return false;
        }
        const auto target = stack_.tree->look_up(clean_path(entry.target));
        const std::string link = str("is a hard link to ", quoted(entry.target), ", which ");
        if (!target && stack_.complete)
            found("bad-hard-link", path, link + "is in no layer up to here");
        else if (!target)
            found("lower-link", path, link + "must be in a layer below");
        else if (stack_.tree->file(*target).is_directory())
            found("bad-hard-link", path, link + "is a directory");
        else
            return true;
        return false;
    }

    void look_below(const std::string& path, const Mark& mark) {
        const std::string directory(split_parent(path).directory);
        const std::string hidden = clean_path(str(directory, "/", mark.hidden));
        if (stack_.complete && !stack_.tree->look_up(hidden))
            found("idle-whiteout", path, str("hides ", quoted(hidden), ", which is not there"));
    }

    // Directories that it needs and nobody has described are files more than its own.
    void make(const TarEntry& entry, const std::string& path, bool is_mark) {
        FileTree& tree = *stack_.tree;
        const size_t before = tree.size();
        tree.add(entry);
        const bool is_file = !is_mark && entry.type != TarEntry::Type::hard_link;
        if (stack_.complete && tree.size() - before > size_t(is_file))
            implied_.emplace(split_parent(path).directory);
        if (tree.size() <= most_files) return;
        found("too-large", path, str("with it there are more than ", most_files, " files"));
        stack_.tree.reset();
    }

    const LayerQuestion& question_;
    LayerStack& stack_;
    Findings& findings_;
    std::set<std::string> described_, implied_;
};

// What an entry says by itself, and beside the others of its layer.
class Entries {
public:
    Entries(const std::string& document, bool is_image, Findings& findings)
        : document_(document), is_image_(is_image), findings_(findings) {}

    // False: no stack can have it.
    bool judge(const TarEntry& entry) {
        std::string path = entry.name;
        try {
            if (climbs_out(entry.name))
                return found("escaping-entry", path, "leads out of the root"), false;
            path = clean_path(entry.name);
            if (path.empty() && entry.name.empty()) throw Error("has no name");
            if (path.empty() && entry.type != TarEntry::Type::directory)
                return found("root-type", path, "would make the root another thing"), false;
            if (!judge_mark(path)) return false;
            judge_looks(entry, path);
            check_owner(entry);
            if (entry.type == TarEntry::Type::character_device ||
                entry.type == TarEntry::Type::block_device)
                check_device(entry);
        } catch (const Error& e) {
            return found("unusable-entry", path, e.what()), false;
        }
        if (!seen_.insert(path).second)
            found("duplicate-path", path, "is there twice, and not all readers take the last");
        bytes_ += path.size() + sizeof path;
        const std::string_view directory = split_parent(path).directory;
        if (!path.empty() && mark_of(path).kind == Mark::Kind::none && directory != last_)
            with_files_.insert(last_ = directory);
        return true;
    }

    bool are_too_many() const { return bytes_ > most_names; }

private:
    void found(RuleCode code, const std::string& path, std::string problem) {
        findings_.add(code, document_, shown_path(path), std::move(problem));
    }

    bool judge_mark(const std::string& path) try {
        const Mark mark = mark_of(path);
        if (mark.kind == Mark::Kind::opaque && !is_image_)
            found("opaque-whiteout", path, "hides all that its directory has below");
        if (mark.kind == Mark::Kind::whiteout &&
            with_files_.contains(std::string(split_parent(path).directory)))
            found("late-whiteout", path, "stands behind a file of the same directory");
        return true;
    } catch (const Error& e) {
        return found("empty-whiteout", path, e.what()), false;
    }

    void judge_looks(const TarEntry& entry, const std::string& path) {
        if (entry.segments && !is_image_) found("sparse-entry", path, "is stored as a sparse file");
        for (const auto& [name, value] : entry.xattrs)
            if (is_foreign_xattr(name))
                found(
                    "ignored-attribute", path,
                    str("has the attribute ", quoted(name), ", which nobody takes from an image"));
        if (entry.uid > large_owner || entry.gid > large_owner)
            found("large-owner", path, str("belongs to ", entry.uid, ":", entry.gid));
    }

    const std::string& document_;
    const bool is_image_;
    Findings& findings_;
    std::set<std::string> seen_, with_files_;  // with_files_: directories
    std::string last_ = "/";                   // of with_files_; this is none
    size_t bytes_ = 0;
};

class LayerReading {
public:
    LayerReading(const ByteSource& blob, const LayerQuestion& question, LayerStack& stack,
                 Findings& findings)
        : source_(blob), question_(question), stack_(stack), findings_(findings),
          blob_hash_(hasher_for(question.digest_algorithm)),
          tar_hash_(hasher_for(question.diff_id_algorithm)) {
        if (question.most_entries > 0) facts_.entries.emplace();
    }

    LayerFacts read() {
        begin();
        facts_.compression = compression_of(head_);
        if (facts_.compression == "xz" || facts_.compression == "bzip2")
            found("unknown-compression", "",
                  str("is compressed with ", facts_.compression,
                      ", for which there is no media type"));
        begin_plain();
        if (facts_.is_image)
            read_image();
        else if (read_tar())
            look_behind();
        while (!next_of_tar().empty()) {
        }
        while (!next_of_blob().empty()) {
        }
        look_at_gzip();
        if (blob_hash_) facts_.digest = blob_hash_->finish().text();
        if (tar_hash_ && !corrupt_) facts_.diff_id = tar_hash_->finish().text();
        return std::move(facts_);
    }

private:
    static std::optional<Hasher> hasher_for(std::string_view algorithm) {
        if (algorithm != "sha256" && algorithm != "sha512") return {};
        return Hasher(algorithm);
    }
    void found(RuleCode code, const std::string& inside, std::string problem) {
        findings_.add(code, question_.document, inside, std::move(problem));
    }

    std::string_view next_of_blob() {
        const std::string_view piece = source_();
        facts_.size += int64_t(piece.size());
        head_ += piece.substr(0, head_size - head_.size());
        if (blob_hash_) blob_hash_->update(piece);
        return piece;
    }

    void begin() try {
        plain_ = make_decoder([this] { return next_of_blob(); });
    } catch (const SysError&) {  // the blob cannot be read
        throw;
    } catch (const Error& e) {
        found("corrupt-stream", "", e.what());
        corrupt_ = true;
    }

    // As much in one piece as tells an image from a tar.
    void begin_plain() {
        while (first_.size() < erofs_head_size) {
            const std::string_view piece = inflate();
            if (piece.empty()) break;
            first_ += piece;
        }
        facts_.is_image = is_erofs(first_);
    }

    std::string_view next_of_tar() {
        if (std::exchange(first_is_given_, true)) return inflate();
        return last_ = first_;
    }

    // What is wrong with the compression is the end of the tar.
    std::string_view inflate() try {
        last_ = corrupt_ ? std::string_view() : plain_->read();
        given_ += last_.size();
        if (tar_hash_) tar_hash_->update(last_);
        return last_;
    } catch (const SysError&) {
        throw;
    } catch (const Error& e) {
        found("corrupt-stream", "", e.what());
        corrupt_ = true;
        return last_ = {};
    }

    bool read_entries(LayerEntries& layer, OnStack& on_stack) {
        Entries entries(question_.document, facts_.is_image, findings_);
        while (const TarEntry* entry = layer.next()) {
            if (!entries.judge(*entry)) continue;
            if (entries.are_too_many())
                return found("too-large", "", "has more names than are looked at"), false;
            on_stack.add(*entry);
            keep(*entry);
            if (clean_path(entry->name) == "etc/passwd") keep_passwd(layer, *entry);
        }
        return true;
    }

    bool read_tar() try {
        OnStack on_stack(question_, stack_, findings_);
        TarStream tar([this] { return next_of_tar(); });
        if (!read_entries(tar, on_stack)) return false;
        if (corrupt_) stack_.complete = false;  // what would have followed is not known
        on_stack.end(tar.position());
        taken_ = tar.position();
        return !corrupt_;
    } catch (const SysError&) {
        throw;
    } catch (const Error& e) {
        stack_.complete = false;
        if (!corrupt_) found("invalid-tar", "", e.what());
        return false;
    }

    void read_image() try {
        const UniqueFd file = nameless_file();
        for (std::string_view piece = next_of_tar(); !piece.empty(); piece = next_of_tar()) {
            if (given_ > most_image)
                throw Error("it has more than the ", most_image, " bytes that are looked at");
            sys::write_all(file.get(), piece);
        }
        stack_.complete &= !corrupt_;
        if (corrupt_) return;
        OnStack on_stack(question_, stack_, findings_);
        ErofsLayer image(file.get());
        if (read_entries(image, on_stack)) on_stack.end(given_);
    } catch (const SysError&) {
        throw;
    } catch (const Error& e) {
        stack_.complete = false;
        found("invalid-erofs", "", e.what());
    }

    void keep(const TarEntry& entry) {
        if (!facts_.entries) return;
        if (facts_.entries->size() == question_.most_entries) return facts_.entries.reset();
        TarEntry& kept = facts_.entries->emplace_back(entry);
        kept.xattrs.clear(), kept.segments.reset();
    }

    void keep_passwd(LayerEntries& layer, const TarEntry& entry) {
        facts_.passwd.reset();
        if (entry.type != TarEntry::Type::file || entry.segments ||
            entry.size > question_.most_text)
            return;
        facts_.passwd.emplace(LayerFacts::Passwd{.place = entry.data_at, .text = {}});
        while (const auto block = layer.read()) facts_.passwd->text += block->data;
    }

    // Zeros fill up the last record.
    void look_behind() {
        std::string_view rest = last_.substr(last_.size() - size_t(given_ - taken_));
        for (uint64_t at = taken_;; at += rest.size(), rest = next_of_tar()) {
            if (rest.empty() && (rest = next_of_tar()).empty()) return;
            const size_t byte = rest.find_first_not_of('\0');
            if (byte == std::string_view::npos) continue;
            return found("trailing-bytes", "",
                         str("has something behind the tar's end, at its byte ", at + byte));
        }
    }

    // RFC 1952: flags at 3, of which 8 is a name, and a time at 4.
    void look_at_gzip() {
        if (facts_.compression != "gzip" || head_.size() < head_size) return;
        if (head_.substr(4, 4) != std::string_view("\0\0\0\0", 4))
            found("gzip-header", "", "the time of its compression is in it");
        if ((head_[3] & 8) != 0) found("gzip-header", "", "a file's name is in it");
    }

    static constexpr size_t head_size = 8;

    const ByteSource& source_;
    const LayerQuestion& question_;
    LayerStack& stack_;
    Findings& findings_;
    std::optional<Hasher> blob_hash_, tar_hash_;
    std::unique_ptr<Decoder> plain_;
    std::string head_;   // of the blob
    std::string first_;  // of the tar
    bool first_is_given_ = false;
    std::string_view last_;  // of the tar
    uint64_t given_ = 0, taken_ = 0;
    bool corrupt_ = false;
    LayerFacts facts_;
};

}  // namespace

LayerFacts judge_layer(const ByteSource& blob, const LayerQuestion& question, LayerStack& stack,
                       Findings& findings) {
    return LayerReading(blob, question, stack, findings).read();
}

void stack_again(const LayerFacts& facts, const LayerQuestion& question, LayerStack& stack,
                 Findings& findings) {
    OnStack on_stack(question, stack, findings);
    for (const TarEntry& entry : facts.entries.value()) on_stack.add(entry);
    on_stack.end(0);
}
