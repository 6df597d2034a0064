// A damaged image must not hide the others: each is read by itself, once for all its names, and one
// that cannot be read is a warning. Values of one filter are alternatives, but labels must all be
// there, as with Docker.
#include <fnmatch.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <unordered_map>

#include "base/log.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/image_tree.h"
#include "image/manifest_list.h"

namespace {

constexpr Option images_options[] = {
    {"all,a", nullptr, "dangling ones too (they are always shown)", "", true},
    {"digests", nullptr, "show the digests of the manifests"},
    {"filter,f", "KEY=VALUE", "only those: dangling, reference, label, before, since"},
    {"format", "FORMAT", "a template, json or table"},
    {"no-trunc", nullptr, "whole IDs"},
    {"quiet,q", nullptr, "only the IDs"},
    {"tree", nullptr, "what an image is for each platform, and what of it is here"},
};

constexpr Column columns[] = {
    {"ID", "IMAGE ID"},   {"Repository", "REPOSITORY"}, {"Tag", "TAG"},
    {"Digest", "DIGEST"}, {"CreatedSince", "CREATED"},  {"CreatedAt", "CREATED AT"},
    {"Size", "SIZE"},
};

constexpr const char* known_filters[] = {"dangling", "reference", "label", "before", "since"};

// An image of the list, read, under one of its names. An index that has none for this machine is
// known by its digest alone: then nothing but the descriptor is in it.
struct Entry {
    const NameTable::Entry* written;
    const Image* image;
    std::optional<Reference> name() const { return reference_of(written->name); }
    NamedImage named() const { return {name(), written->descriptor()}; }
};

Image read_image(const Store& store, const spec::Descriptor& descriptor) {
    if (is_for_others(store, descriptor)) {
        Image unknown{.descriptor = descriptor, .manifest = {}, .config = {}};
        unknown.manifest.config.digest = descriptor.digest;
        return unknown;
    }
    return store.load(descriptor);
}

// Ten thousand names may be of one image: nothing is made for each that can be made for all.
class Listing {
public:
    explicit Listing(const Store& store) : names_(store.names()) {
        for (const NameTable::Entry& written : names_.entries()) {
            if (!Digest::is_valid(written.digest)) continue;
            const auto [at, is_first] = images_.try_emplace(written.digest);
            Entry entry{&written, nullptr};
            if (is_first)
                attempt(str("reading image ", quoted(entry.named().shown())), [&] {
                    at->second =
                        std::make_unique<const Image>(read_image(store, written.descriptor()));
                });
            entry.image = at->second.get();
            if (entry.image) entries_.push_back(std::move(entry));
        }
    }
    std::vector<Entry>& entries() { return entries_; }

private:
    NameTable names_;
    std::unordered_map<std::string_view, std::unique_ptr<const Image>> images_;  // by manifest
    std::vector<Entry> entries_;
};

// path.Match of the familiar name, with or without the tag.
bool matches(const std::optional<Reference>& name, const std::string& pattern) {
    if (!name) return false;
    for (const std::string& form : {name->familiar(), name->familiar_repository()})
        if (::fnmatch(pattern.c_str(), form.c_str(), FNM_PATHNAME) == 0) return true;
    return false;
}

bool parse_bool(const std::string& key, const std::string& text) {
    if (text == "true" || text == "1") return true;
    if (text == "false" || text == "0") return false;
    throw Error("invalid filter '", key, "=[", text, "]'");
}

bool wanted(const Store& store, const Entry& entry, const Filters& filters) {
    // As instants: of the same one there are many texts.
    const auto instant = [](const Image& image) {
        const std::string& time = image.config.created;
        return time.empty() ? 0 : parse_rfc3339(time);
    };
    const auto created = [&](const std::string& name) {
        return instant(read_image(store, store.get(name).descriptor));
    };
    return all_hold(filters, [&](const std::string& key, const std::string& value) {
        if (key == "dangling") return parse_bool(key, value) == !entry.name();
        if (key == "reference") return matches(entry.name(), value);
        if (key == "label") return has_label(entry.image->config.config.labels, value);
        if (key == "before") return instant(*entry.image) < created(value);
        return instant(*entry.image) > created(value);
    });
}

json::Value row_of(const Image& image, bool whole) {
    const std::string size = human_size(uint64_t(std::max<int64_t>(0, image.size)));
    return {{"ID", whole ? image.id().text() : image.id().short_hex()},
            {"Repository", ""},
            {"Tag", ""},
            {"Digest", ""},
            {"CreatedSince", time_since(image.config.created)},
            {"CreatedAt", time_shown(image.config.created)},
            {"Size", size},
            {"VirtualSize", size},
            {"Containers", "N/A"},
            {"SharedSize", "N/A"},
            {"UniqueSize", "N/A"}};
}

// An image's row is made once, and has one of its names after the other.
class Rows {
public:
    explicit Rows(bool whole) : whole_(whole) {}
    const json::Value* row(const Entry& entry) {
        const auto [at, is_first] = rows_.try_emplace(entry.image);
        if (is_first) at->second = row_of(*entry.image, whole_);
        const std::optional<Reference> name = entry.name();
        json::Value& row = at->second;
        row["Repository"] = name ? name->familiar_repository() : "<none>";
        row["Tag"] = name && !name->tag.empty() ? name->tag : "<none>";
        row["Digest"] = entry.written->digest;
        return &row;
    }

private:
    bool whole_;
    std::unordered_map<const Image*, json::Value> rows_;
};

void refuse_with_tree(const Arguments& args) {
    for (const char* const option : {"digests", "format", "no-trunc", "quiet"})
        if (args.has(option)) throw Error("--", option, " is not yet supported with --tree");
}

int images(const Arguments& globals, const Arguments& args) {
    if (args.flag("tree")) refuse_with_tree(args);
    Filters filters = parse_filters(args.all("filter"), known_filters);
    if (args.size()) filters["reference"].push_back(args[0]);
    const Store store = open_store(globals);
    Listing listing(store);
    std::vector<Entry>& entries = listing.entries();
    std::erase_if(entries, [&](const Entry& entry) { return !wanted(store, entry, filters); });
    if (args.flag("tree")) {
        std::vector<NamedImage> named;
        for (const Entry& entry : entries) named.push_back(entry.named());
        print_image_tree(store, named);
        return 0;
    }
    const bool whole = args.flag("no-trunc");
    if (args.flag("quiet")) {
        for (const Entry& entry : entries) {
            const Digest id = entry.image->id();
            std::printf("%s\n", (whole ? id.text() : id.short_hex()).c_str());
        }
        return 0;
    }
    Rows rows(whole);
    auto entry = entries.begin();
    const std::string digest = args.flag("digests") ? "\t{{.Digest}}" : "";
    print_listing(args.get("format"),
                  "{{.Repository}}\t{{.Tag}}" + digest + "\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
                  columns, [&] { return entry == entries.end() ? nullptr : rows.row(*entry++); });
    return 0;
}

}  // namespace

constinit const Command images_command = {
    .name = "images",
    .synopsis = "[REPOSITORY[:TAG]]",
    .summary = "list images",
    .options = images_options,
    .most = 1,
    .interspersed = true,
    .run = images,
};
