// A build is: read the Dockerfile, plan what has to be done, do it, name what came of it.
// Everything that can be known before the first step is checked before it; nothing gets a name
// unless all of it was built.

#include "builder/build.h"

#include <stdlib.h>

#include <cstdio>
#include <filesystem>

#include "base/defer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "builder/build_text.h"
#include "builder/language/lint.h"
#include "builder/plan.h"
#include "builder/report.h"
#include "builder/reproducible.h"
#include "builder/solve.h"
#include "builder/source/context.h"
#include "builder/squash.h"
#include "image/platform.h"
#include "image/pull.h"
#include "image/snapshots.h"
#include "image/trust/judge.h"

namespace {

constexpr size_t shortest_id = 12;  // digits of an image's ID, as listings show it

std::optional<Image> load_if_there(const Store& store, const NamedImage& found,
                                   const std::string& platform) {
    try {
        return store.load(found.descriptor, platform);
    } catch (const Error&) {  // then it is asked for
        return {};
    }
}

// Is what the store has of that name for the platform? A machine's own images need not say so.
bool is_for(const Store& store, const NamedImage& found, const std::string& platform) {
    if (platform == host_platform()) return true;
    const auto image = load_if_there(store, found, platform);
    return image && image->config.architecture == parse_platform(platform).architecture;
}

Image base_image(const Store& store, const BuildOptions& options, const std::string& name,
                 const std::string& platform) {
    const Reference reference =
        context("invalid base image " + quoted(name), [&] { return parse_reference(name); });
    // An ID is long: what is short is a name, or the number of a stage that is not there.
    if (!options.pull)
        if (const auto found = store.find(name);
            found && (name.size() >= shortest_id || (found->name && is_name(name, *found->name))) &&
            is_for(store, *found, platform)) {
            require_kept_signature(options.trust, store, *found, "", name);
            return store.load(found->descriptor, platform);
        }
    return pull(store, reference, options.trust, {.platform = platform});
}

// What FROM or --from names: an image, unless --build-context says what it is.
Image named_image(const Store& store, const BuildOptions& options, const ImageWish& wish) {
    const auto named = options.contexts.find(context_name(wish.name));
    if (named == options.contexts.end())
        return base_image(store, options, wish.name, wish.platform);
    if (named->second.kind == NamedContext::Kind::layout)
        return image_of_layout(store, named->second.value, wish.platform, options.trust);
    return base_image(store, options, named->second.value, wish.platform);
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
    BuildPlan plan;
    std::map<ImageWish, Image> images;
};

Planned plan_build(const Store& store, const BuildOptions& options, const BuildText& text,
                   const std::string& platform) {
    Planned out;
    PlanFacts facts{.file_name = text.name,
                    .platform = platform,
                    .images = {},
                    .environment = environment_of(options)};
    for (;;) {
        out.plan = make_plan(text.file, options, facts);
        if (out.plan.missing.empty()) return out;
        for (const auto& [wish, where] : out.plan.missing) {
            Image image = context(where, [&] { return named_image(store, options, wish); });
            facts.images.emplace(wish, image.config);
            out.images.emplace(wish, std::move(image));
        }
    }
}

// What may be meant otherwise is said at the end, unless the file asks that it be an error.
LintResult check(const BuildOptions& options, const BuildText& text, const std::string& platform,
                 const std::map<ImageWish, Image>& images) {
    std::map<std::string, std::string> given;
    for (const auto& [name, value] : options.build_args)
        if (value) given[name] = *value;
    const auto known = [&](const std::string& name) -> std::optional<spec::ImageConfig> {
        const auto at = images.find({name, platform});
        return at == images.end() ? std::nullopt : std::optional(at->second.config);
    };
    LintResult found =
        lint(text.file,
             {.build_args = given, .platform = platform, .image = known, .ignored = &text.ignore});
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

void warn_of_unused(const BuildOptions& options, const BuildPlan& plan) {
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

void name_image(const Store& store, const spec::Descriptor& top,
                const std::vector<Reference>& names,
                const std::function<void(const std::string&)>& say) {
    if (names.empty()) store.tag(top, std::nullopt);
    for (const Reference& name : names) store.tag(top, name);
    for (const Reference& name : names) say("naming to " + name.canonical() + " done");
}

// In the store, without a name.
Image write_image(const Store& store, const BuildOptions& options, spec::ImageConfig config,
                  const Stack& tree) {
    config.rootfs.diff_ids.clear();
    for (const Digest& diff_id : tree.diff_ids) config.rootfs.diff_ids.push_back(diff_id.text());
    spec::Manifest manifest;
    manifest.media_type = spec::media::manifest;
    manifest.layers = tree.layers;
    manifest.config = store.put_blob(spec::write(config), spec::media::config);
    const spec::Descriptor descriptor =
        store.put_blob(spec::write(manifest), spec::media::manifest);
    return with_annotations(store, store.load(descriptor), options.outputs.annotations);
}

// What the builds for all platforms have in common.
struct Shared {
    const Store& store;
    const BuildOptions& options;
    const BuildText& text;
    std::shared_ptr<SourceTree> context_tree;
    std::string digests;
};

Image build_for(const Shared& shared, const std::string& platform) {
    const Store& store = shared.store;
    const BuildOptions& options = shared.options;
    const auto [plan, images] = plan_build(store, options, shared.text, platform);
    const LintResult found = check(options, shared.text, platform, images);
    BuildReport report(options.display, plan.graph, shared.text.text);

    SolveInput input{.store = store,
                     .options = options,
                     .graph = plan.graph,
                     .images = {},
                     .contexts = {{"", shared.context_tree}},
                     .digests = shared.digests,
                     .report = report};
    for (const ImageWish& wish : plan.graph.images) input.images.push_back(images.at(wish));
    std::vector<BuildContext> held;
    add_trees(store, options, input, held);
    // From here the report says what goes on.
    Progress::set_quiet(true);
    const Defer loud([&] { Progress::set_quiet(options.display == BuildDisplay::quiet); });
    const Solved solved = solve_and_say(input);

    warn_of_unused(options, plan);
    spec::ImageConfig config = plan.graph.image.config;
    Stack tree = solved.tree;
    if (options.squash) {
        const TreeRef& base = plan.graph.image.base;
        const bool has_base = base.kind == TreeRef::Kind::image;
        tree = squashed(store, tree, has_base ? Stack(input.images[base.index]) : Stack(),
                        parse_rfc3339(config.created) / 1'000'000'000, config);
    }
    if (solved.made > 0 || options.squash) Snapshots(store).unpack(tree.image());
    Image image = write_image(store, options, std::move(config), tree);
    report.say(str("writing image ", image.id().text(), " done"));
    if (!found.warnings.empty()) report.say(lint_summary(found.warnings));
    report.summary();
    return image;
}

// One image is what it is; several are an index.
Built put_together(const Store& store, std::vector<Image> images) {
    Built out{.top = images[0].descriptor, .images = std::move(images)};
    if (out.images.size() == 1) return out;
    spec::Index index;
    index.media_type = spec::media::index;
    for (const Image& image : out.images) {
        index.manifests.push_back(image.descriptor);
        index.manifests.back().platform = platform_of(image.config);
    }
    out.top = store.put_blob(spec::write(index), spec::media::index);
    return out;
}

void expect_same(const Store& store, const Image& first, const Image& second) {
    const std::vector<std::string> differences = differences_of(store, first, second);
    for (const std::string& each : differences) std::fprintf(stderr, "%s\n", each.c_str());
    if (!differences.empty())
        throw Error("the build is not reproducible: ", differences.size(),
                    differences.size() == 1 ? " difference" : " differences");
}

}  // namespace

Built build(const Store& store, const BuildOptions& typed) {
    // Nothing of what is built may be collected before it has a name.
    const Lease use = store.use();
    if (typed.context == "-" && typed.dockerfile == "-")
        throw Error("invalid argument: can't use stdin for both build context and dockerfile");
    const BuildContext from = open_context(store, typed.context, 0, agent_of(typed));
    BuildOptions options = typed;
    options.context = from.directory;
    options.no_cache |= options.check_reproducible;
    if (options.platforms.empty()) options.platforms.push_back(host_platform());
    Root context_root(options.context);
    const BuildText text = read_build_text(from, context_root, options.dockerfile);

    const Shared shared{.store = store,
                        .options = options,
                        .text = text,
                        .context_tree =
                            std::make_shared<SourceTree>(std::move(context_root), text.ignore),
                        .digests = digests_path(store, typed.context)};
    std::vector<Image> images;
    for (const std::string& platform : options.platforms) {
        images.push_back(build_for(shared, platform));
        if (options.check_reproducible)
            expect_same(store, images.back(), build_for(shared, platform));
    }

    const Built built = put_together(store, std::move(images));
    const auto say = [&](const std::string& line) {
        if (options.display != BuildDisplay::quiet) std::fprintf(stderr, "%s\n", line.c_str());
    };
    if (options.outputs.keeps_image()) name_image(store, built.top, options.outputs.names(), say);
    write_outputs(store, built, options.outputs, say);
    return built;
}
