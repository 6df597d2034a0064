// What is hard: spec/image.h's readers stop at the first thing that is wrong, and a document is
// judged to its end. So it is gone through as JSON here, property by property, and what has a form
// is given to the same types that the readers make of it. In the end the reader is asked, too: what
// it refuses and nothing here has named is a finding as well. So nothing that keg would not take
// has no finding.
#include "image/validate/documents.h"

#include <algorithm>
#include <set>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "image/digest.h"
#include "image/reference.h"

namespace {

using json::Value;

constexpr std::string_view empty_type = "application/vnd.oci.empty.v1+json";

// What makes a layer one that can be read in parts: annotations of its descriptor.
constexpr std::string_view partial_pulls[] = {
    "io.github.containers.zstd-chunked.manifest-checksum",
    "containerd.io/snapshot/stargz/toc.digest",
};

bool is_hex(std::string_view text) {
    return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string element(const std::string& list, size_t i) { return str(list, "[", i, "]"); }

class Document {
public:
    Document(std::string_view text, const std::string& name, Findings& findings)
        : name_(name), findings_(findings), before_(grave()) {
        try {
            root_ = json::parse(text);
        } catch (const Error& e) {
            found("invalid-json", "", e.what());
        }
    }

    const Value& root() const { return root_; }
    bool is_object() {
        if (root_.is_object()) return true;
        if (nothing_found()) found("invalid-json", "", "is no object");
        return false;
    }
    void found(RuleCode code, const std::string& place, std::string problem) {
        findings_.add(code, name_, place, std::move(problem));
    }
    bool nothing_found() const { return grave() == before_; }

    // A member that is there and not null, which is the same; nothing for one that is not.
    static const Value* member(const Value& object, const char* name) {
        const auto found = object.find(name);
        return found == object.end() || found->is_null() ? nullptr : &*found;
    }
    template <class T>
    std::optional<T> read(const Value& object, const std::string& at, const char* name) {
        const Value* const value = member(object, name);
        if (!value) return {};
        try {
            return json::read<T>(*value);
        } catch (const Error& e) {
            found("wrong-type", below(at, name), e.what());
            return {};
        }
    }
    template <class T>
    std::optional<T> required(const Value& object, const std::string& at, const char* name) {
        if (!member(object, name)) {
            found("missing-field", below(at, name), "is required, and is not there");
            return {};
        }
        return read<T>(object, at, name);
    }
    // An array, element by element; nothing if it is none.
    const Value* array(const Value& object, const std::string& at, const char* name) {
        return of_kind(object, at, name, &Value::is_array, "an array");
    }
    const Value* object(const Value& in, const std::string& at, const char* name) {
        return of_kind(in, at, name, &Value::is_object, "an object");
    }
    static std::string below(const std::string& at, std::string_view name) {
        return at.empty() ? std::string(name) : str(at, ".", name);
    }

    // Something that throws Error if the text has not its form.
    template <class Parse>
    bool judge(RuleCode code, const std::string& place, Parse&& parse) {
        try {
            parse();
            return true;
        } catch (const Error& e) {
            found(code, place, e.what());
            return false;
        }
    }
    // What keg's own reader says of it, if that is news.
    template <class Read>
    void ask_reader(Read&& read) {
        if (nothing_found()) judge("unreadable", "", read);
    }

    void schema_version() {
        const auto version = read<int64_t>(root_, "", "schemaVersion");
        if (version != 2)
            found("schema-version", "schemaVersion",
                  version ? str("is ", *version, ", must be 2") : "is not there, must be 2");
    }
    void one_kind(const char* own, std::initializer_list<const char*> foreign) {
        for (const char* name : foreign)
            if (root_.contains(own) && root_.contains(name))
                found("two-kinds", name, str("stands beside ", own));
    }
    void media_type(std::string_view expected) {
        const auto type = read<std::string>(root_, "", "mediaType");
        if (type && !expected.empty() && *type != expected)
            found("media-type-mismatch", "mediaType",
                  str("is ", quoted(*type), ", but its descriptor says ", quoted(expected)));
    }
    void time(const std::string& place, const std::optional<std::string>& text) {
        if (text && !text->empty()) judge("invalid-time", place, [&] { parse_rfc3339(*text); });
    }
    spec::StringMap annotations(const Value& object, const std::string& at) {
        auto all = read<spec::StringMap>(object, at, "annotations").value_or(spec::StringMap());
        const auto created = all.find("org.opencontainers.image.created");
        if (created != all.end())
            time(str(below(at, "annotations"), "[", quoted(created->first), "]"), created->second);
        return all;
    }

private:
    size_t grave() const { return findings_.count() - findings_.count(Severity::info); }
    const Value* of_kind(const Value& object, const std::string& at, const char* name,
                         bool (Value::*is)() const, const char* expected) {
        const Value* const value = member(object, name);
        if (!value || (value->*is)()) return value;
        judge("wrong-type", below(at, name), [&] { json::type_error(*value, expected); });
        return nullptr;
    }

    const std::string& name_;
    Findings& findings_;
    const size_t before_;
    Value root_;
};

// False: it cannot be looked for by that.
bool judge_digest(Document& document, const std::string& place, const std::string& digest) {
    const bool is_one = document.judge("invalid-digest", place, [&] {
        spec::check_digest(digest);
        if (digest.starts_with("blake3:") && (digest.size() != 7 + 64 || !is_hex(digest.substr(7))))
            throw Error("invalid digest ", quoted(digest), ": expected 64 lower-case hex digits");
    });
    if (is_one && !digest.starts_with("sha256:"))
        document.found("other-digest", place,
                       str("is ", quoted(digest.substr(0, digest.find(':'))),
                           ", which some readers do not know"));
    return is_one;
}

void judge_data(Document& document, Link& link) {
    const std::string place = link.place + ".data";
    auto data = decode_base64(link.descriptor.data);
    if (!data) return document.found("data-mismatch", place, "is not base64");
    if (int64_t(data->size()) != link.descriptor.size)
        return document.found(
            "data-mismatch", place,
            str("has ", data->size(), " bytes, but size is ", link.descriptor.size));
    if (!has_digest(*data, link.descriptor.digest).value_or(true))
        return document.found("data-mismatch", place,
                              str("has another digest than ", link.descriptor.digest));
    link.data = std::move(data);
}

void judge_types(Document& document, const spec::Descriptor& descriptor, const std::string& at) {
    const auto judge = [&](const char* name, const std::string& type) {
        if (!type.empty())
            document.judge("invalid-media-type", Document::below(at, name),
                           [&] { spec::check_media_type(type); });
    };
    if (descriptor.media_type.empty())
        document.found("media-type-missing", Document::below(at, "mediaType"),
                       "is required, and is not there");
    judge("mediaType", descriptor.media_type);
    judge("artifactType", descriptor.artifact_type);
    if (descriptor.media_type.contains(".nondistributable.") ||
        descriptor.media_type.contains(".rootfs.foreign."))
        document.found("nondistributable", Document::below(at, "mediaType"),
                       str("is ", quoted(descriptor.media_type)));
}

std::optional<spec::Platform> judge_platform(Document& document, const Value& object,
                                             const std::string& in) {
    const Value* const value = document.object(object, in, "platform");
    if (!value) return {};
    const std::string at = Document::below(in, "platform");
    spec::Platform out;
    const auto word = [&](std::string& to, const char* name) {
        document.judge("invalid-word", Document::below(at, name),
                       [&] { spec::check_platform_word(to); });
    };
    out.architecture = document.required<std::string>(*value, at, "architecture").value_or("");
    out.os = document.required<std::string>(*value, at, "os").value_or("");
    out.variant = document.read<std::string>(*value, at, "variant").value_or("");
    word(out.architecture, "architecture"), word(out.os, "os"), word(out.variant, "variant");
    return out;
}

// Nothing for one that leads nowhere.
std::optional<Link> judge_descriptor(Document& document, const Value& value,
                                     const std::string& at) {
    if (!value.is_object()) {
        document.judge("wrong-type", at, [&] { json::type_error(value, "an object"); });
        return {};
    }
    Link link{.place = at, .descriptor = {}};
    spec::Descriptor& descriptor = link.descriptor;
    descriptor.media_type = document.read<std::string>(value, at, "mediaType").value_or("");
    descriptor.artifact_type = document.read<std::string>(value, at, "artifactType").value_or("");
    judge_types(document, descriptor, at);
    descriptor.annotations = document.annotations(value, at);
    for (const std::string_view key : partial_pulls)
        if (descriptor.annotations.contains(std::string(key)))
            document.found("partial-pull", at, str("has the annotation ", key));
    descriptor.platform = judge_platform(document, value, at);
    document.read<std::vector<std::string>>(value, at, "urls");

    const auto size = document.required<int64_t>(value, at, "size");
    if (size && *size < 0)
        document.found("negative-size", Document::below(at, "size"), str("is ", *size));
    descriptor.size = size.value_or(-1);
    const auto digest = document.required<std::string>(value, at, "digest");
    if (!digest || !judge_digest(document, Document::below(at, "digest"), *digest)) return {};
    descriptor.digest = *digest;
    if (const auto data = document.read<std::string>(value, at, "data")) {
        descriptor.data = *data;
        judge_data(document, link);
    }
    return link;
}

// --- config

template <class Parse>
void judge_keys(Document& document, const Value& config, const char* name, Parse&& parse) {
    const Value* const keys = document.object(config, "config", name);
    if (!keys) return;
    for (const auto& [key, value] : keys->items())
        document.judge("invalid-word", str("config.", name, "[", quoted(key), "]"),
                       [&, &named = key] { parse(named); });
}

void judge_env(Document& document, const Value& config) {
    const auto words = document.read<std::vector<std::string>>(config, "config", "Env");
    if (!words) return;
    std::set<std::string_view> names;
    for (size_t i = 0; i < words->size(); ++i) {
        const std::string& word = (*words)[i];
        const std::string place = element("config.Env", i);
        if (!spec::Variable::is_one(word))
            document.found("invalid-word", place,
                           str(quoted(word.substr(0, 100)), " is no NAME=VALUE"));
        else if (!names.insert(std::string_view(word).substr(0, word.find('='))).second)
            document.found("invalid-word", place,
                           str(quoted(word.substr(0, 100)), " sets what is set before it"));
    }
}

// A range names many ports, and ranges may overlap.
void judge_ports(Document& document, const Value& config) {
    constexpr size_t most = 3 * 65535;
    size_t named = 0;
    judge_keys(document, config, "ExposedPorts", [&](const std::string& key) {
        if (named <= most) named += spec::parse_ports(key).size();
        if (named > most) throw Error("names more ports than there are");
    });
}

std::string judge_container(Document& document) {
    const Value* const config = document.object(document.root(), "", "config");
    if (!config) return {};
    const auto user = document.read<std::string>(*config, "config", "User").value_or("");
    const auto signal = document.read<std::string>(*config, "config", "StopSignal").value_or("");
    document.judge("invalid-word", "config.User", [&] { spec::UserName{user}; });
    document.judge("invalid-word", "config.StopSignal", [&] { spec::Signal{signal}; });
    judge_env(document, *config);
    judge_ports(document, *config);
    judge_keys(document, *config, "Volumes",
               [](const std::string& key) { spec::ContainerPath{key}; });
    for (const char* name : {"Entrypoint", "Cmd"})
        document.read<std::vector<std::string>>(*config, "config", name);
    document.read<spec::StringMap>(*config, "config", "Labels");
    document.read<std::string>(*config, "config", "WorkingDir");
    return user;
}

std::optional<std::vector<std::string>> judge_rootfs(Document& document) {
    const Value* const rootfs = document.object(document.root(), "", "rootfs");
    if (!rootfs) {
        if (!Document::member(document.root(), "rootfs"))
            document.found("missing-field", "rootfs", "is required, and is not there");
        return {};
    }
    const auto type = document.required<std::string>(*rootfs, "rootfs", "type");
    if (type && *type != "layers")
        document.found("rootfs-type", "rootfs.type", str("is ", quoted(*type)));
    auto ids = document.required<std::vector<std::string>>(*rootfs, "rootfs", "diff_ids");
    for (size_t i = 0; ids && i < ids->size(); ++i)
        if (!judge_digest(document, element("rootfs.diff_ids", i), (*ids)[i])) (*ids)[i].clear();
    return ids;
}

void judge_history(Document& document, const std::optional<std::vector<std::string>>& diff_ids) {
    const Value* const history = document.array(document.root(), "", "history");
    if (!history || history->empty()) return;
    size_t layers = 0;
    for (size_t i = 0; i < history->size(); ++i) {
        const Value& entry = (*history)[i];
        if (!entry.is_object()) {
            document.judge("wrong-type", element("history", i),
                           [&] { json::type_error(entry, "an object"); });
            continue;
        }
        const std::string at = element("history", i);
        document.time(at + ".created", document.read<std::string>(entry, at, "created"));
        layers += !document.read<bool>(entry, at, "empty_layer").value_or(false);
    }
    if (diff_ids && layers != diff_ids->size())
        document.found("history-count", "history",
                       str("tells of ", layers, " layers, but there are ", diff_ids->size()));
}

}  // namespace

std::optional<bool> has_digest(std::string_view data, std::string_view digest) {
    if (!Digest::is_valid(digest)) return {};
    Hasher hasher(digest.substr(0, digest.find(':')));
    hasher.update(data);
    return hasher.finish().text() == digest;
}

IndexWords judge_index(std::string_view text, const std::string& name, std::string_view media_type,
                       Findings& findings) {
    Document document(text, name, findings);
    IndexWords out;
    if (!document.is_object()) return out;
    document.schema_version();
    document.one_kind("manifests", {"layers", "config"});
    document.media_type(media_type);
    document.annotations(document.root(), "");
    const Value* const entries = document.array(document.root(), "", "manifests");
    if (!Document::member(document.root(), "manifests"))
        document.found("missing-field", "manifests", "is required, and is not there");
    for (size_t i = 0; entries && i < entries->size(); ++i)
        if (auto link = judge_descriptor(document, (*entries)[i], element("manifests", i)))
            out.entries.push_back(std::move(*link));
    out.is_complete = entries && out.entries.size() == entries->size();
    document.ask_reader([&] { spec::read_index(text); });
    return out;
}

ManifestWords judge_manifest(std::string_view text, const std::string& name,
                             std::string_view media_type, Findings& findings) {
    Document document(text, name, findings);
    ManifestWords out;
    if (!document.is_object()) return out;
    document.schema_version();
    document.one_kind("layers", {"manifests", "fsLayers"});
    document.one_kind("config", {"manifests", "fsLayers"});
    document.media_type(media_type);
    document.annotations(document.root(), "");
    for (const char* required : {"config", "layers"})
        if (!Document::member(document.root(), required))
            document.found("missing-field", required, "is required, and is not there");
    if (const Value* config = document.object(document.root(), "", "config"))
        out.config = judge_descriptor(document, *config, "config");
    if (out.config && out.config->descriptor.media_type == empty_type &&
        document.read<std::string>(document.root(), "", "artifactType").value_or("").empty())
        document.found("artifact-type-missing", "artifactType",
                       "is required where the config is empty, and is not there");
    if (const Value* subject = document.object(document.root(), "", "subject"))
        judge_descriptor(document, *subject, "subject");
    const Value* const layers = document.array(document.root(), "", "layers");
    for (size_t i = 0; layers && i < layers->size(); ++i)
        if (auto link = judge_descriptor(document, (*layers)[i], element("layers", i)))
            out.layers.push_back(std::move(*link));
    out.is_complete = out.config && layers && out.layers.size() == layers->size();
    document.ask_reader([&] { spec::read_manifest(text); });
    return out;
}

ConfigWords judge_config(std::string_view text, const std::string& name, Findings& findings) {
    Document document(text, name, findings);
    ConfigWords out;
    if (!document.is_object()) return out;
    const Value& root = document.root();
    out.platform.architecture =
        document.required<std::string>(root, "", "architecture").value_or("");
    out.platform.os = document.required<std::string>(root, "", "os").value_or("");
    out.platform.variant = document.read<std::string>(root, "", "variant").value_or("");
    out.platform.os_features = document.read<std::vector<std::string>>(root, "", "os.features")
                                   .value_or(std::vector<std::string>());
    for (const auto& [word, place] :
         {std::pair(&out.platform.architecture, "architecture"), std::pair(&out.platform.os, "os"),
          std::pair(&out.platform.variant, "variant")})
        document.judge("invalid-word", place, [&] { spec::check_platform_word(*word); });
    document.time("created", document.read<std::string>(root, "", "created"));
    out.diff_ids = judge_rootfs(document);
    judge_history(document, out.diff_ids);
    out.user = judge_container(document);
    document.ask_reader([&] { spec::read_image_config(text); });
    return out;
}

void judge_layout_file(std::string_view text, const std::string& name, Findings& findings) {
    Document document(text, name, findings);
    if (!document.is_object()) return;
    const auto version = document.read<std::string>(document.root(), "", "imageLayoutVersion");
    if (version != "1.0.0")
        document.found("layout-version", "imageLayoutVersion",
                       version ? str("is ", quoted(*version), ", must be \"1.0.0\"")
                               : "is not there, must be \"1.0.0\"");
}

std::vector<ArchiveItem> judge_archive_items(std::string_view text, const std::string& name,
                                             Findings& findings) {
    Document document(text, name, findings);
    const Value& root = document.root();
    if (!root.is_array()) {
        if (document.nothing_found()) document.found("invalid-json", "", "is no array");
        return {};
    }
    std::vector<ArchiveItem> items;
    std::set<std::string> tags;
    for (size_t i = 0; i < root.size(); ++i) {
        const std::string at = element("", i);
        if (!root[i].is_object()) {
            document.judge("wrong-type", at, [&] { json::type_error(root[i], "an object"); });
            continue;
        }
        using Words = std::vector<std::string>;
        ArchiveItem& item = items.emplace_back();
        item.config = document.required<std::string>(root[i], at, "Config").value_or("");
        item.layers = document.required<Words>(root[i], at, "Layers").value_or(Words());
        item.tags = document.read<Words>(root[i], at, "RepoTags").value_or(Words());
        for (size_t t = 0; t < item.tags.size(); ++t) {
            const std::string place = element(at + ".RepoTags", t);
            document.judge("invalid-tag", place, [&] {
                const Reference reference = parse_reference(item.tags[t]);
                if (!reference.digest.empty()) throw Error(quoted(item.tags[t]), " has a digest");
                if (!tags.insert(reference.canonical()).second)
                    document.found("duplicate-tag", place,
                                   str(quoted(item.tags[t]), " is there twice"));
            });
        }
    }
    return items;
}
