// What is hard: a missing index.json is either a new store's or a lost one, and to take the second
// for the first would give all blobs to the collector. A store that has blobs was not new. Whether
// it is new is asked under the lock, because another process may be making the same store.
//
// And to read ten thousand names in the time that one takes, without believing what a parser of the
// whole text would refuse. The text is ours if it is our head, lines, and a tail: head and tail
// alone are an index without entries, and each line is one entry alone, so all of it is an index
// with these. Every line is read to its end: as the plain form that keg writes, letter by letter,
// or, if it has more to say, as JSON. If any of that does not hold, the whole is read as JSON, and
// written in our form by the next change. A name that is none of ours stays in the file as it is:
// an image layout may be other tools' work as well.
#include "image/names.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>

#include "base/directory.h"
#include "base/error.h"
#include "base/json.h"
#include "image/digest.h"
#include "image/work.h"

namespace {

constexpr std::string_view head =
    R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)";
constexpr size_t shortest_line = 128;  // or nearly
constexpr const char* name_key = "org.opencontainers.image.ref.name";

// An entry as keg writes it, without escapes: its words are pieces of the line.
class PlainLine {
public:
    explicit PlainLine(std::string_view line) : rest_(line) {}
    // False: it has another form.
    bool read() {
        return take(R"({"mediaType":")") && word(media_type) && is_known_type() &&
               take(R"(,"digest":")") && word(digest) && Digest::is_valid(digest) &&
               take(R"(,"size":)") && number(size) && annotations() && platform() && take("}") &&
               rest_.empty();
    }
    spec::Descriptor descriptor() const {
        spec::Descriptor out{
            .media_type = std::string(media_type), .digest = std::string(digest), .size = size};
        if (!name.empty()) out.annotations[name_key] = name;
        if (has_platform)
            out.platform = spec::Platform{.architecture = std::string(architecture),
                                          .os = std::string(os),
                                          .variant = std::string(variant)};
        return out;
    }

    std::string_view media_type, digest, name, architecture, os, variant;
    int64_t size = 0;
    bool has_platform = false;

private:
    bool annotations() {
        return !take(R"(,"annotations":{"org.opencontainers.image.ref.name":")") ||
               (word(name) && take("}"));
    }
    bool platform() {
        has_platform = take(R"(,"platform":{"architecture":")");
        return !has_platform || (word(architecture) && take(R"(,"os":")") && word(os) &&
                                 (!take(R"(,"variant":")") || word(variant)) && take("}"));
    }
    bool is_known_type() const {
        return media_type == spec::media::manifest || media_type == spec::media::index ||
               media_type == spec::media::docker_manifest ||
               media_type == spec::media::docker_index;
    }

    bool take(std::string_view expected) {
        if (!rest_.starts_with(expected)) return false;
        rest_.remove_prefix(expected.size());
        return true;
    }
    // Up to the quote that ends it, and that.
    bool word(std::string_view& out) {
        static constexpr auto is_plain = [] {
            std::array<bool, 256> plain{};
            for (unsigned c = ' '; c < 0x7f; ++c) plain[c] = c != '"' && c != '\\';
            return plain;
        }();
        size_t end = 0;
        while (end < rest_.size() && is_plain[static_cast<unsigned char>(rest_[end])]) ++end;
        out = rest_.substr(0, end);
        rest_.remove_prefix(end);
        return take("\"");
    }
    bool number(int64_t& out) {
        const char* const end = rest_.data() + rest_.size();
        const auto [after, error] = std::from_chars(rest_.data(), end, out);
        const auto digits = rest_.substr(0, size_t(after - rest_.data()));
        const bool good =
            error == std::errc() && out >= 0 && (digits[0] != '0' || digits.size() == 1);
        rest_.remove_prefix(digits.size());
        return good;
    }

    std::string_view rest_;
};

// The entry under that name; "" takes it away.
std::string entry_under(spec::Descriptor entry, const std::string& name) {
    if (name.empty())
        entry.annotations.erase(name_key);
    else
        entry.annotations[name_key] = name;
    return spec::write(entry);
}

std::string put_together(std::string_view tail, const auto& entries, auto line_of) {
    size_t size = head.size() + tail.size() + 3;
    for (const auto& entry : entries) size += line_of(entry).size() + 2;
    std::string out;
    out.reserve(size);
    out += head;
    for (bool first = true; const auto& entry : entries) {
        out += std::exchange(first, false) ? "\n" : ",\n";
        out += line_of(entry);
    }
    return (out += '\n').append(tail) += '\n';
}

std::string in_our_form(spec::Index index) {
    std::vector<std::string> lines;
    for (const spec::Descriptor& entry : index.manifests) lines.push_back(spec::write(entry));
    index.manifests.clear();
    // What it has besides goes behind the entries.
    json::Value rest = json::parse(spec::write(index));
    for (const char* in_head : {"schemaVersion", "mediaType", "manifests"}) rest.erase(in_head);
    const std::string tail = rest.empty() ? "]}" : "]," + json::dump(rest).substr(1);
    return put_together(tail, lines,
                        [](const std::string& line) -> const std::string& { return line; });
}

void write_index(const std::string& root, const std::string& text) {
    replace_file(root + "/index.json", text, 0600);
}

bool has_blobs(const std::string& root) {
    for (const std::string& algorithm : names_in_if_exists(root + "/blobs"))
        if (!names_in_if_exists(root + "/blobs/" + algorithm).empty()) return true;
    return false;
}

// --- names in other forms
//
// "docker.io/library/app", "index.docker.io/app:latest" and "app" are one name. In all forms the
// last part of the path is the same, with its tag, or with none that is "latest".

std::string_view last_part(std::string_view name) {
    name = name.substr(0, name.find('@'));
    return name.substr(name.rfind('/') + 1);  // npos + 1 is 0
}

// Names, to be found in whatever form.
class NameSet {
public:
    void add(const Reference& name) {
        const std::string familiar = name.familiar();
        const std::string_view part = last_part(familiar);
        familiar_.insert(familiar);
        parts_.emplace(part);
        if (name.tag == "latest") parts_.emplace(part.substr(0, part.rfind(':')));
    }
    // False for nearly all others, without a closer look.
    bool may_have(std::string_view written) const { return parts_.contains(last_part(written)); }
    bool has(std::string_view written) const {
        if (!may_have(written)) return false;
        const auto name = reference_of(written);
        return name && familiar_.contains(name->familiar());
    }

private:
    std::set<std::string, std::less<>> familiar_, parts_;
};

// A manifest without a name stays, once, as long as it has none elsewhere.
void drop_needless(std::vector<NameTable::Entry>& entries) {
    std::set<std::string_view> nameless, needless;
    for (const NameTable::Entry& entry : entries)
        if (entry.name.empty()) nameless.insert(entry.digest);
    if (nameless.empty()) return;
    for (const NameTable::Entry& entry : entries)
        if (!entry.name.empty() && nameless.contains(entry.digest)) needless.insert(entry.digest);
    std::erase_if(entries, [&](const NameTable::Entry& entry) {
        return entry.name.empty() && !needless.insert(entry.digest).second;
    });
}

}  // namespace

NameTable::NameTable(std::string text) : text_(std::move(text)) {
    if (read_lines()) return;
    text_ = in_our_form(spec::read_index(text_));
    entries_.clear(), words_.clear();
    if (!read_lines()) throw Error("cannot be written an entry a line");
}

bool NameTable::read_lines() {
    std::string_view rest = text_;
    if (!rest.starts_with(str(head, "\n"))) return false;
    rest.remove_prefix(head.size() + 1);
    entries_.reserve(rest.size() / shortest_line);  // what is not used of it costs nothing
    for (bool more = !rest.starts_with(']'); more;) {
        const size_t end = rest.find('\n');
        if (end == std::string_view::npos) return false;
        std::string_view line = rest.substr(0, end);
        rest.remove_prefix(end + 1);
        more = line.ends_with(',');
        if (more) line.remove_suffix(1);
        if (!add(line)) return false;
    }
    if (!rest.starts_with(']') || !rest.ends_with('\n')) return false;
    tail_ = rest.substr(0, rest.size() - 1);
    try {
        spec::read_index(str(head, tail_));
        return true;
    } catch (const Error&) {
        return false;
    }
}

bool NameTable::add(std::string_view line) {
    if (PlainLine plain(line); plain.read()) {
        entries_.push_back({line, plain.digest, plain.name});
        return true;
    }
    try {
        const spec::Descriptor& entry = words_.emplace_back(spec::read_descriptor(line));
        const auto name = entry.annotations.find(name_key);
        entries_.push_back({line, entry.digest,
                            name == entry.annotations.end() ? std::string_view() : name->second});
        return true;
    } catch (const Error&) {
        return false;
    }
}

spec::Descriptor NameTable::Entry::descriptor() const {
    if (PlainLine plain(line); plain.read()) return plain.descriptor();
    return spec::read_descriptor(line);
}

const NameTable::Entry* NameTable::find(const Reference& wanted) const {
    NameSet set;
    set.add(wanted);
    const auto means = [&](const Entry& entry) {
        const bool by_digest = !wanted.digest.empty();
        if (by_digest ? entry.digest != wanted.digest : !set.may_have(entry.name)) return false;
        const auto name = reference_of(entry.name);
        return name && name->repository() == wanted.repository() &&
               (by_digest || name->tag == wanted.tag);
    };
    const auto found = std::ranges::find_if(entries_, means);
    return found == entries_.end() ? nullptr : &*found;
}

std::string NameTable::text_with(std::span<const Entry> entries) const {
    return put_together(tail_, entries, [](const Entry& entry) { return entry.line; });
}

Names::Names(const std::string& root)
    : root_(root), lock_(root + "/index.lock"), table_(read(root)) {}

NameTable Names::read(const std::string& root) {
    const std::string path = root + "/index.json";
    auto text = read_file_if_exists(path);
    if (!text) throw Error(path, " is missing: the store is damaged, see keg system check");
    return context(path, [&] { return NameTable(std::move(*text)); });
}

void Names::make_if_new(const std::string& root) {
    const FileLock alone(root + "/index.lock");
    if (read_file_if_exists(root + "/index.json") || has_blobs(root)) return;
    write(root, {});
}

void Names::write(const std::string& root, std::span<const spec::Descriptor> entries) {
    write_index(root, in_our_form({.manifests = {entries.begin(), entries.end()}}));
}

void Names::save(std::span<const NameTable::Entry> entries) {
    write_index(root_, table_.text_with(entries));
}

void Names::give(std::span<const Naming> namings) {
    NameSet given;
    std::map<std::string, size_t> last;  // by name: which naming has it in the end
    for (size_t i = 0; i < namings.size(); ++i)
        if (const auto& name = namings[i].name) given.add(*name), last[name->familiar()] = i;

    std::vector<NameTable::Entry> added, others;
    std::deque<std::string> texts;
    const auto add = [&](const spec::Descriptor& entry, const std::string& name) {
        const std::string& line = texts.emplace_back(entry_under(entry, name));
        added.push_back({line, texts.emplace_back(entry.digest), texts.emplace_back(name)});
    };
    for (size_t i = namings.size(); i-- > 0;) {
        const std::string name = namings[i].name ? namings[i].name->familiar() : "";
        add(namings[i].manifest, !name.empty() && last[name] == i ? name : "");
    }
    // What had a name loses it, and stays as a dangling image if that was its only one.
    others.reserve(table_.entries().size() + 2 * added.size());
    for (const NameTable::Entry& old : table_.entries())
        if (given.has(old.name))
            add(old.descriptor(), "");
        else
            others.push_back(old);
    others.insert(others.begin(), added.begin(), added.end());  // newest first
    drop_needless(others);
    save(others);
}

bool Names::take(const Reference& name) {
    NameSet taken;
    taken.add(name);
    std::vector<NameTable::Entry> left = table_.entries();
    if (std::erase_if(left, [&](const auto& entry) { return taken.has(entry.name); }) == 0)
        return false;
    save(left);
    return true;
}

void Names::remove(const std::string& digest) {
    std::vector<NameTable::Entry> left = table_.entries();
    std::erase_if(left, [&](const auto& entry) { return entry.digest == digest; });
    save(left);
}

void Names::remove_torn() const {
    for (const std::string& name : names_in_if_exists(root_))
        if (name.starts_with(".index.json.")) ::unlink(str(root_, "/", name).c_str());
}

std::optional<Reference> reference_of(std::string_view name) {
    if (name.empty()) return {};
    try {
        return parse_reference(name);
    } catch (const Error&) {
        return {};
    }
}
