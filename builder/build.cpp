// A build is: read the Dockerfile, plan what has to be done, do it, name what came of it.
// Everything that can be known before the first step is checked before it; nothing gets a name
// unless all of it was built.

#include "builder/build.h"

#include <stdlib.h>

#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "builder/build_text.h"
#include "builder/language/lint.h"
#include "builder/plan.h"
#include "builder/report.h"
#include "builder/solve.h"
#include "builder/source/context.h"
#include "image/pull.h"
#include "image/snapshots.h"
#include "image/trust/judge.h"

namespace {

constexpr size_t shortest_id = 12;  // digits of an image's ID, as listings show it

Image base_image(const Store& store, const BuildOptions& options, const std::string& name) {
    const Reference reference =
        context("invalid base image " + quoted(name), [&] { return parse_reference(name); });
    // An ID is long: what is short is a name, or the number of a stage that is not there.
    if (!options.pull)
        if (const auto found = store.find(name);
            found && (name.size() >= shortest_id || (found->name && is_name(name, *found->name)))) {
            require_kept_signature(options.trust, store, *found, "", name);
            return store.load(found->descriptor);
        }
    return pull(store, reference, options.trust);
}

std::map<std::string, std::string> environment_of(const BuildOptions& options) {
    std::map<std::string, std::string> out;
    const auto take = [&](const std::string& name) {
        if (const char* const value = ::getenv(name.c_str())) out[name] = value;
    };
    for (const auto& [name, value] : options.build_args)
        if (!value) take(name);
    take("SOURCE_DATE_EPOCH");
    return out;
}

// The plan, and the images that it needs, which are not all known before it.
struct Planned {
    Plan plan;
    std::map<std::string, Image> images;
};

Planned plan_build(const Store& store, const BuildOptions& options, const BuildText& text) {
    Planned out;
    PlanFacts facts{.file_name = text.name, .images = {}, .environment = environment_of(options)};
    for (;;) {
        out.plan = make_plan(text.file, options, facts);
        if (out.plan.missing.empty()) return out;
        for (const auto& [name, where] : out.plan.missing) {
            Image image = context(where, [&] { return base_image(store, options, name); });
            facts.images.emplace(name, image.config);
            out.images.emplace(name, std::move(image));
        }
    }
}

// What may be meant otherwise is said at the end, unless the file asks that it be an error.
LintResult check(const BuildOptions& options, const BuildText& text,
                 const std::map<std::string, Image>& images) {
    std::map<std::string, std::string> given;
    for (const auto& [name, value] : options.build_args)
        if (value) given[name] = *value;
    const auto known = [&](const std::string& name) -> std::optional<spec::ImageConfig> {
        const auto at = images.find(name);
        return at == images.end() ? std::nullopt : std::optional(at->second.config);
    };
    LintResult found = lint(text.file, {.build_args = given,
                                        .platform = host_platform(),
                                        .image = known,
                                        .ignored = &text.ignore});
    if (found.is_error) throw Error(lint_error(found.warnings));
    return found;
}

void warn_of_unused(const BuildOptions& options, const Plan& plan) {
    for (const auto& [name, value] : options.build_args)
        if (!plan.used_args.contains(name) && !is_predefined(name))
            log_warning("one or more build-args were not consumed: [" + name + "]");
}

// What is known of a context's files is kept by the place where it is.
std::string digests_path(const Store& store, const std::string& context_path) {
    std::error_code error;
    const std::filesystem::path place = std::filesystem::canonical(context_path, error);
    return str(store.root(), "/cache/files-", digest_of(place.string()).hex());
}

Solved solve_and_say(const SolveInput& input) {
    try {
        return solve(input);
    } catch (const std::exception&) {
        std::fputs(input.report.failure().c_str(), stderr);
        throw;
    }
}

void name_image(const Store& store, const Image& image, const std::vector<Reference>& names,
                BuildReport& report) {
    if (names.empty()) store.tag(image.descriptor, std::nullopt);
    for (const Reference& name : names) store.tag(image.descriptor, name);
    for (const Reference& name : names) report.say("naming to " + name.canonical() + " done");
}

Image write_image(const Store& store, const BuildOptions& options, const Graph& graph,
                  const Stack& tree, BuildReport& report) {
    spec::ImageConfig config = graph.image.config;
    config.rootfs.diff_ids.clear();
    for (const Digest& diff_id : tree.diff_ids) config.rootfs.diff_ids.push_back(diff_id.text());
    spec::Manifest manifest;
    manifest.media_type = spec::media::manifest;
    manifest.layers = tree.layers;
    manifest.config = store.put_blob(spec::write(config), spec::media::config);
    const spec::Descriptor descriptor =
        store.put_blob(spec::write(manifest), spec::media::manifest);
    Image image = with_annotations(store, store.load(descriptor), options.outputs.annotations);
    report.say(str("writing image ", image.id().text(), " done"));
    if (options.outputs.keeps_image()) name_image(store, image, options.outputs.names(), report);
    write_outputs(store, image, options.outputs,
                  [&](const std::string& line) { report.say(line); });
    return image;
}

}  // namespace

Image build(const Store& store, const BuildOptions& typed) {
    // Nothing of what is built may be collected before it has a name.
    const Lease use = store.use();
    if (typed.context == "-" && typed.dockerfile == "-")
        throw Error("invalid argument: can't use stdin for both build context and dockerfile");
    const BuildContext from = open_context(store, typed.context);
    BuildOptions options = typed;
    options.context = from.directory;
    Root context_root(options.context);
    const BuildText text = read_build_text(from, context_root, options.dockerfile);
    const auto [plan, images] = plan_build(store, options, text);
    const LintResult found = check(options, text, images);
    const Graph& graph = plan.graph;
    BuildReport report(options.display, graph, text.text);

    SolveInput input{.store = store,
                     .options = options,
                     .graph = graph,
                     .images = {},
                     .contexts = {},
                     .digests = digests_path(store, typed.context),
                     .report = report};
    for (const std::string& name : graph.images) input.images.push_back(images.at(name));
    input.contexts[""] = std::make_shared<SourceTree>(std::move(context_root), text.ignore);
    const Solved solved = solve_and_say(input);

    warn_of_unused(options, plan);
    if (solved.made > 0) Snapshots(store).unpack(solved.tree.image());
    const Image image = write_image(store, options, graph, solved.tree, report);
    if (!found.warnings.empty()) report.say(lint_summary(found.warnings));
    report.summary();
    return image;
}
