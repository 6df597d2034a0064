// Docker's verbs for manifest lists. Docker keeps lists beside its images; here a list is an image
// of the store, so that push, copy, save and rmi know it, too. An image is looked for in the store
// first and then in its registry, by each of the verbs.
#include <cstdio>

#include "base/base64.h"
#include "base/json.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "image/manifest_list.h"
#include "image/push.h"

namespace {

constexpr Option create_options[] = {
    {"amend,a", nullptr,
     "add to the list if there is one, or replace what is for the same platform"},
};
constexpr Option annotate_options[] = {
    {"arch", "ARCH", "the architecture: amd64, arm64"},
    {"os", "OS", "the operating system: linux, windows"},
    {"os-features", "FEATURE,...", "what of the operating system it needs"},
    {"os-version", "VERSION", "the operating system's version"},
    {"variant", "VARIANT", "the architecture's variant: v7"},
};
constexpr Option inspect_list_options[] = {
    {"verbose,v", nullptr, "of each image its name, platform and manifest"},
};
constexpr Option push_options_of_lists[] = {
    {"purge,p", nullptr, "remove the list from the store after it was pushed"},
};

Reference list_name(const std::string& typed) {
    const Reference name = parse_reference(typed);
    if (!name.digest.empty())
        throw Error("invalid manifest list ", quoted(typed), ": a list has a tag, and no digest");
    return name;
}

ManifestList list_of(const Store& store, const Reference& name) {
    if (auto list = find_list(store, name)) return std::move(*list);
    throw Error("No such manifest: ", name.familiar());
}

int create(const Arguments& globals, const Arguments& args) {
    const Reference name = list_name(args[0]);
    const Store store = open_store(globals);
    create_list(store, name, std::span(args.words()).subspan(1), args.flag("amend"));
    collect_garbage(store);  // the list as it was before
    std::printf("Created manifest list %s\n", name.canonical().c_str());
    return 0;
}

int annotate(const Arguments& globals, const Arguments& args) {
    const Store store = open_store(globals);
    PlatformWords words{.os = args.value("os"),
                        .architecture = args.value("arch"),
                        .variant = args.value("variant"),
                        .os_version = args.value("os-version"),
                        .os_features = {}};
    for (const std::string& typed : args.all("os-features"))
        for (std::string& feature : split(typed, ',')) {
            if (!words.os_features) words.os_features.emplace();
            words.os_features->push_back(std::move(feature));
        }
    annotate_list(store, list_name(args[0]), args[1], words);
    collect_garbage(store);
    return 0;
}

// --- inspect

json::Value platform_json(const spec::Platform& platform) {
    json::Value out = {{"architecture", platform.architecture}, {"os", platform.os}};
    if (!platform.os_version.empty()) out["os.version"] = platform.os_version;
    if (!platform.os_features.empty()) out["os.features"] = platform.os_features;
    if (!platform.variant.empty()) out["variant"] = platform.variant;
    return out;
}

// Docker's words for one manifest: what names it, and its bytes, and what they say.
json::Value described(Manifests& manifests, const spec::Descriptor& descriptor,
                      const std::string& shown) {
    const std::string text = manifests.text_of(descriptor);
    auto platform = descriptor.platform;
    if (!platform && spec::oci_media_type(descriptor.media_type) == spec::media::manifest)
        platform = manifests.platform_of(spec::read_manifest(text));
    json::Value named = {{"mediaType", descriptor.media_type},
                         {"digest", descriptor.digest},
                         {"size", descriptor.size}};
    if (platform) named["platform"] = platform_json(*platform);
    const bool is_dockers = descriptor.media_type == spec::media::docker_manifest;
    return {{"Ref", shown},
            {"Descriptor", named},
            {"Raw", encode_base64(text)},
            {is_dockers ? "SchemaV2Manifest" : "OCIManifest", json::parse(text)}};
}

json::Value described_all(Manifests& manifests, const std::string& typed) {
    const Repository::Document& top = manifests.top();
    const auto name = reference_of(typed);
    if (!spec::is_index(top.descriptor.media_type))
        return described(manifests, top.descriptor, name ? name->canonical() : typed);
    json::Value out = json::Value::array();
    for (const spec::Descriptor& child : spec::read_index(top.text).manifests)
        out.push_back(
            described(manifests, child, str(name ? name->repository() : typed, "@", child.digest)));
    return out;
}

int inspect_list(const Arguments& globals, const Arguments& args) {
    const Store store = open_store(globals);
    const Lease lease = store.use();
    const std::string& typed = args[args.size() - 1];
    Manifests manifests(store, typed, false);
    if (args.size() == 2) {
        const Reference name = list_name(args[0]);
        const std::string digest = manifests.top().descriptor.digest;
        const auto entries = list_of(store, name).index.manifests;
        if (std::ranges::find(entries, digest, &spec::Descriptor::digest) == entries.end())
            throw Error("manifest for image ", typed, " does not exist in ", name.familiar());
    }
    const json::Value shown =
        args.flag("verbose") ? described_all(manifests, typed) : json::parse(manifests.top().text);
    std::printf("%s\n", json::dump(shown, 4).c_str());
    return 0;
}

int push_list(const Arguments& globals, const Arguments& args) {
    const Reference name = list_name(args[0]);
    const Store store = open_store(globals);
    const ManifestList list = list_of(store, name);
    for (const spec::Descriptor& entry : list.index.manifests)
        if (!entry.platform || entry.platform->os.empty() || entry.platform->architecture.empty())
            throw Error("manifest ", entry.digest,
                        " must have an OS and Architecture to be pushed to a registry");
    push(store, name, {name.tag}, {.whole = true},
         [](const Pushed& pushed) { std::printf("%s\n", pushed.manifest.digest.c_str()); });
    if (!args.flag("purge")) return 0;
    store.untag(name);
    collect_garbage(store);
    return 0;
}

int remove_lists(const Arguments& globals, const Arguments& args) {
    const Store store = open_store(globals);
    for (const std::string& word : args.words()) {
        const Reference name = list_name(word);
        list_of(store, name);
        store.untag(name);
    }
    collect_garbage(store);
    return 0;
}

}  // namespace

constinit const Command manifest_create_command = {
    .name = "manifest create",
    .synopsis = "MANIFEST_LIST IMAGE [IMAGE...]",
    .summary = "make a manifest list of images of the store or of registries",
    .options = create_options,
    .least = 2,
    .interspersed = true,
    .run = create,
};
constinit const Command manifest_annotate_command = {
    .name = "manifest annotate",
    .synopsis = "MANIFEST_LIST IMAGE",
    .summary = "say for which platform an image of a manifest list is",
    .options = annotate_options,
    .least = 2,
    .most = 2,
    .interspersed = true,
    .run = annotate,
};
constinit const Command manifest_inspect_command = {
    .name = "manifest inspect",
    .synopsis = "[MANIFEST_LIST] IMAGE",
    .summary = "show the manifest, or list, that the store has under that name, or else a registry",
    .options = inspect_list_options,
    .least = 1,
    .most = 2,
    .interspersed = true,
    .run = inspect_list,
};
constinit const Command manifest_push_command = {
    .name = "manifest push",
    .synopsis = "MANIFEST_LIST",
    .summary = "send a manifest list to a registry, with all images in it",
    .options = push_options_of_lists,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = push_list,
};
constinit const Command manifest_rm_command = {
    .name = "manifest rm",
    .synopsis = "MANIFEST_LIST [MANIFEST_LIST...]",
    .summary = "remove manifest lists from the store",
    .least = 1,
    .interspersed = true,
    .run = remove_lists,
};
