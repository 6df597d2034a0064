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

// What FROM or --from names: an image, unless --build-context says what it is.
Image named_image(const Store& store, const BuildOptions& options, const std::string& name) {
    const auto named = options.contexts.find(context_name(name));
    if (named == options.contexts.end()) return base_image(store, options, name);
    if (named->second.kind == NamedContext::Kind::layout)
        return image_of_layout(store, named->second.value, "", options.trust);
    return base_image(store, options, named->second.value);
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
            Image image = context(where, [&] { return named_image(store, options, name); });
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

// --- trees beside the context

std::string agent_of(const BuildOptions& options) {
    const auto agent = options.agents.find("default");
    return agent == options.agents.end() ? "" : agent->second;
}

// By their names.
std::vector<std::string> contexts_of(const Step& step) {
    std::vector<TreeRef> read;
    if (const auto* const copy = std::get_if<CopyFiles>(&step.what)) read.push_back(copy->from);
    if (const auto* const run = std::get_if<RunCommand>(&step.what))
        for (const PlannedMount& each : run->mounts) read.push_back(each.from);
    std::vector<std::string> names;
    for (const TreeRef& tree : read)
        if (tree.kind == TreeRef::Kind::context && !tree.name.empty()) names.push_back(tree.name);
    return names;
}

std::shared_ptr<SourceTree> tree_of(const BuildContext& from) {
    Root root(from.directory);
    IgnoreRules ignore = from.is_remote ? IgnoreRules() : read_ignore_file(root);
    return std::make_shared<SourceTree>(std::move(root), std::move(ignore));
}

// Of the named contexts those that something reads, and what ADD has from afar. What is fetched
// lies in `held`.
void add_trees(const Store& store, const BuildOptions& options, SolveInput& input,
               std::vector<BuildContext>& held) {
    for (const Step& step : input.graph.steps)
        for (const std::string& name : contexts_of(step)) {
            const auto named = options.contexts.find(name);
            if (named == options.contexts.end() || input.contexts.contains(name)) continue;
            held.push_back(context("context " + name, [&] {
                return open_context(store, named->second.value, -1, agent_of(options));
            }));
            input.contexts[name] = tree_of(held.back());
        }
    for (const auto& [name, fetched] : input.graph.fetched) {
        held.push_back(context(
            fetched.where, [&] { return fetch_all(store, fetched.sources, agent_of(options)); }));
        input.contexts[name] = tree_of(held.back());
    }
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
    const BuildContext from = open_context(store, typed.context, 0, agent_of(typed));
    BuildOptions options = typed;
    options.context = from.directory;
    Root context_root(options.context);
    const BuildText text = from.is_remote
                               ? read_fetched_text(from, context_root, options.dockerfile)
                               : read_build_text(options.context, context_root, options.dockerfile);
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
    std::vector<BuildContext> held;
    add_trees(store, options, input, held);
    const Solved solved = solve_and_say(input);

    warn_of_unused(options, plan);
    if (solved.made > 0) Snapshots(store).unpack(solved.tree.image());
    const Image image = write_image(store, options, graph, solved.tree, report);
    if (!found.warnings.empty()) report.say(lint_summary(found.warnings));
    report.summary();
    return image;
}
