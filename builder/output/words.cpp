// What is hard: one option has three forms ("DIR", "-", fields of CSV), several others mean an
// output, too (--push, --load), and what is wrong must be found before anything is built. What a
// field means is a table; what BuildKit takes and has no meaning here is in it, so that all else
// can be refused by its name.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/boolean.h"
#include "base/csv.h"
#include "base/error.h"
#include "builder/output/output.h"
#include "image/derive.h"

namespace {

using Kind = BuildOutput::Kind;

struct KindName {
    std::string_view name;
    Kind kind;
};
constexpr KindName kind_names[] = {
    {"local", Kind::local},         {"tar", Kind::tar},     {"oci", Kind::oci},
    {"docker", Kind::docker},       {"image", Kind::image}, {"registry", Kind::registry},
    {"cacheonly", Kind::cacheonly},
};

std::string_view name_of(Kind kind) {
    return std::ranges::find(kind_names, kind, &KindName::kind)->name;
}

// An output as it is read, field by field.
struct Reading {
    std::optional<Kind> kind = {};
    std::optional<std::string> destination = {};
    bool tar = true, push = false;
    std::vector<Reference> names = {};
    std::string compression = {};
    int level = 0;
    std::map<std::string, std::string> annotations = {};
};

bool switched(std::string_view field, const std::string& value) {
    const auto parsed = parse_bool(value);
    if (!parsed) throw Error("invalid value ", quoted(value), " of ", quoted(field));
    return *parsed;
}

struct OutputField {
    std::string_view name;
    void (*take)(Reading& output, const std::string& value);
};
constexpr auto means_nothing = [](Reading&, const std::string&) {};
constexpr OutputField output_fields[] = {
    {"type",
     [](Reading& output, const std::string& value) {
         const auto* const found = std::ranges::find(kind_names, value, &KindName::name);
         if (found == std::end(kind_names))
             throw Error("unknown exporter ", quoted(value),
                         ": known are local, tar, oci, docker, image, registry, cacheonly");
         output.kind = found->kind;
     }},
    {"dest", [](Reading& output, const std::string& value) { output.destination = value; }},
    {"name",
     [](Reading& output, const std::string& value) {
         for (const std::string& name : split(value, ','))
             output.names.push_back(name_for_new(name));
     }},
    {"push",
     [](Reading& output, const std::string& value) { output.push = switched("push", value); }},
    {"tar", [](Reading& output, const std::string& value) { output.tar = switched("tar", value); }},
    {"compression",
     [](Reading& output, const std::string& value) {
         output.compression = value == "uncompressed" ? "none" : value;
     }},
    {"compression-level",
     [](Reading& output, const std::string& value) {
         const auto level = parse_number_between(value, 0, 22);
         if (!level) throw Error("invalid compression level ", quoted(value));
         output.level = *level;
     }},
    // keg's documents are OCI's, its times are clamped as they are written, and it unpacks what it
    // needs.
    {"oci-mediatypes",
     [](Reading&, const std::string& value) {
         if (!switched("oci-mediatypes", value))
             throw Error("Docker's media types are not written: oci-mediatypes=false");
     }},
    {"rewrite-timestamp", means_nothing},
    {"force-compression", means_nothing},
    {"unpack", means_nothing},
    {"store", means_nothing},
    {"name-canonical", means_nothing},
};

// "manifest:KEY" is what KEY alone is: of the one image's manifest.
std::string annotated_key(const std::string& typed) {
    const size_t colon = typed.find(':');
    const std::string level = typed.substr(0, colon);
    if (colon == std::string::npos || level == "manifest") return typed.substr(colon + 1);
    for (const std::string_view other : {"index", "index-descriptor", "manifest-descriptor"})
        if (level == other)
            throw Error(other, " annotations not supported for single platform export");
    if (level.contains('['))
        throw Error("annotations for a platform are not supported: ", quoted(typed));
    return typed;
}

// "annotation.KEY", "annotation-manifest.KEY".
bool take_annotation(Reading& output, const std::string& name, const std::string& value) {
    const size_t dot = name.find('.');
    if (!name.starts_with("annotation") || dot == std::string::npos) return false;
    std::string level = name.substr(0, dot);
    level.erase(0, std::min(level.size(), std::string_view("annotation-").size()));
    output.annotations[annotated_key((level.empty() ? "manifest" : level) + ":" +
                                     name.substr(dot + 1))] = value;
    return true;
}

void take_field(Reading& output, const std::string& field) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos) throw Error("invalid value ", quoted(field));
    const std::string name = std::string(trim(field.substr(0, equals)));
    const std::string value = field.substr(equals + 1);
    const auto* const found = std::ranges::find(output_fields, lower(name), &OutputField::name);
    if (found != std::end(output_fields)) return found->take(output, value);
    if (!take_annotation(output, name, value))
        throw Error("unknown field ", quoted(name), " of an output");
}

// "DIR" and "-" are the short forms of the two that have nothing but a place.
Reading read_output(const std::string& typed) {
    const std::vector<std::string> fields = csv_fields(typed);
    Reading output;
    if (fields.size() == 1 && fields[0] == typed && !typed.starts_with("type=")) {
        output.kind = typed == "-" ? Kind::tar : Kind::local;
        output.destination = typed;
        return output;
    }
    for (const std::string& field : fields) take_field(output, field);
    if (!output.kind) throw Error("type is required for output");
    return output;
}

void check_directory(const BuildOutput& output) {
    const std::string_view kind = name_of(output.kind);
    if (output.destination.empty()) throw Error("dest is required for ", kind, " exporter");
    if (output.destination == "-") throw Error("dest cannot be stdout for ", kind, " exporter");
    struct stat info{};
    if (::stat(output.destination.c_str(), &info) == 0 && !S_ISDIR(info.st_mode))
        throw Error("destination directory ", quoted(output.destination), " is a file");
}

void check_file(BuildOutput& output) {
    if (output.destination == "-") output.destination.clear();
    struct stat info{};
    if (output.destination.empty()) {
        if (::isatty(1))
            throw Error("dest file is required for ", name_of(output.kind),
                        " exporter. refusing to write to console");
    } else if (::stat(output.destination.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
        throw Error("destination file ", quoted(output.destination), " is a directory");
    }
}

BuildOutput output_of(const Reading& read) {
    BuildOutput output{.kind = *read.kind, .destination = read.destination.value_or("")};
    output.names = read.names;
    if (!read.compression.empty() || read.level != 0)
        output.compression =
            parse_compression(read.compression.empty() ? "gzip" : read.compression, read.level);
    switch (output.kind) {
        case Kind::image:
            if (read.push) output.kind = Kind::registry;
            [[fallthrough]];
        case Kind::registry:
        case Kind::cacheonly:
            if (read.destination)
                throw Error(name_of(output.kind), " exporter has no dest: ", *read.destination);
            return output;
        case Kind::docker:
            // Into Docker's own store, which here is keg's.
            if (!read.destination) return {.kind = Kind::image, .names = read.names};
            [[fallthrough]];
        case Kind::oci:
            output.is_directory = !read.tar;
            output.is_directory ? check_directory(output) : check_file(output);
            return output;
        case Kind::tar: check_file(output); return output;
        case Kind::local: check_directory(output); return output;
    }
    throw Error("unreachable");
}

// --push is the registry; --load the store, where it is anyway, if nothing else is said.
void add_short_forms(std::vector<BuildOutput>& all, const OutputWords& words) {
    if (words.push) {
        bool any = false;
        for (BuildOutput& output : all)
            if (output.keeps_image()) output.kind = Kind::registry, any = true;
        if (!any) all.push_back({.kind = Kind::registry});
    }
    const bool has_image = std::ranges::any_of(all, &BuildOutput::keeps_image);
    if (all.empty() || (words.load && !has_image)) all.push_back({.kind = Kind::image});
}

std::vector<Reference> tag_names(const std::vector<std::string>& tags) {
    std::vector<Reference> out;
    for (const std::string& tag : tags) {
        if (tag.contains('@'))
            throw Error("invalid tag ", quoted(tag), ": a tag cannot have a digest");
        context("invalid tag " + quoted(tag), [&] { out.push_back(parse_reference(tag)); });
    }
    return out;
}

void give_names(std::vector<BuildOutput>& all, const std::vector<Reference>& tags) {
    for (BuildOutput& output : all) {
        if (output.names.empty()) output.names = tags;
        if (output.kind == Kind::registry && output.names.empty())
            throw Error("tag is needed when pushing to registry");
    }
}

}  // namespace

Outputs parse_outputs(const OutputWords& words) {
    Outputs out;
    for (const std::string& typed : words.outputs)
        context("invalid output " + quoted(typed), [&] {
            const Reading read = read_output(typed);
            out.all.push_back(output_of(read));
            for (const auto& [key, value] : read.annotations) out.annotations[key] = value;
        });
    for (const std::string& typed : words.annotations) {
        const size_t equals = typed.find('=');
        if (equals == std::string::npos || equals == 0)
            throw Error("invalid annotation ", quoted(typed), ": expected key=value");
        out.annotations[annotated_key(typed.substr(0, equals))] = typed.substr(equals + 1);
    }
    add_short_forms(out.all, words);
    give_names(out.all, tag_names(words.tags));
    if (std::ranges::count_if(out.all, &BuildOutput::needs_stdout) > 1)
        throw Error("only one output can be written to standard output");
    out.id_file = words.id_file, out.metadata_file = words.metadata_file;
    return out;
}

bool BuildOutput::needs_stdout() const {
    const bool is_file = kind == Kind::oci || kind == Kind::docker || kind == Kind::tar;
    return is_file && destination.empty();
}

bool Outputs::needs_stdout() const { return std::ranges::any_of(all, &BuildOutput::needs_stdout); }

bool Outputs::keeps_image() const { return std::ranges::any_of(all, &BuildOutput::keeps_image); }

std::vector<Reference> Outputs::names() const {
    std::vector<Reference> out;
    for (const BuildOutput& output : all)
        for (const Reference& name : output.names)
            if (output.keeps_image() && std::ranges::find(out, name) == out.end())
                out.push_back(name);
    return out;
}
