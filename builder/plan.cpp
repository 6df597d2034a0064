// What is hard: which stages are needed is known in part before any image is (FROM, COPY --from),
// and in part only by it (a trigger of a base may copy from a stage). So a plan is made as far as
// the known images go, says which others it needs, and is made again: it costs no more than
// reading the statements. Two scopes are never mixed: the arguments before the first FROM, which
// only FROM and an ARG of the same name see, and a stage's.
#include "builder/plan.h"

#include <algorithm>
#include <deque>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "builder/language/arguments.h"
#include "builder/language/instructions.h"
#include "builder/language/run_mount.h"
#include "builder/language/words.h"
#include "builder/metadata.h"
#include "builder/stage.h"
#include "image/layer/rules.h"
#include "image/platform.h"
#include "image/store.h"

namespace {

constexpr const char* default_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// Where neither SOURCE_DATE_EPOCH nor a base image says a time: 1980, the first that every format
// of archives can hold.
constexpr int64_t default_time = 315532800;
constexpr int64_t latest_time = 9223372035;  // what nanoseconds can say, in 2262

// In lower case, as stages are known.
std::string stage_name(const std::string& typed) {
    const std::string name = lower(typed);
    if (name == "context" || name == "scratch")
        throw Error("invalid name for build stage: ", quoted(typed), ", name is reserved");
    return name;
}

std::string display_name(const Statement& statement, const std::string& rest) {
    std::string text = statement.keyword;
    for (const auto& [flag, value] : statement.flags)
        text += str(" --", flag, value.empty() ? "" : "=", value);
    text += " " + rest;
    std::ranges::replace(text, '\n', ' ');
    return text.size() > 100 ? text.substr(0, 97) + "..." : text;
}

// All stages and images that a statement takes files from.
std::vector<std::string> sources_of(const Statement& statement) {
    std::vector<std::string> out;
    if (const std::string* from = statement.flag("from")) out.push_back(*from);
    for (const auto& [flag, value] : statement.flags) {
        if (statement.keyword != "RUN" || flag != "mount") continue;
        if (std::string from = run_mount_from(value); !from.empty()) out.push_back(std::move(from));
    }
    return out;
}

bool is_set(const Statement& statement, std::string_view name) {
    const std::string* const value = statement.flag(name);
    return value && *value != "false";
}

bool is_true(const std::string& value) { return value == "1" || lower(value) == "true"; }

bool makes_layer(const Statement& statement) {
    static constexpr std::string_view keywords[] = {"RUN", "COPY", "ADD", "WORKDIR"};
    return std::ranges::find(keywords, statement.keyword) != std::end(keywords);
}

// A stage as it is written.
struct StageText {
    std::string name, base;  // base is expanded
    std::string platform;
    std::vector<const Statement*> statements;  // FROM first
};

// A stage as it is planned.
struct StageWork {
    Stage stage;
    TreeRef base;       // what it began with: an image, or nothing
    TreeRef tree;       // after what was planned so far
    std::string shown;  // its name in messages
    std::string platform;
    size_t number = 1, of = 1;
};

class Planner {
public:
    Planner(const Dockerfile& file, const BuildOptions& options, const PlanFacts& facts)
        : file_(file), options_(options), facts_(facts) {}

    BuildPlan plan() {
        read_stages();
        const size_t target = find_target();
        for (const size_t i : needed_stages(target)) stage(i);
        if (!out_.missing.empty()) return std::move(out_);
        finish(stages_.at(target));
        return std::move(out_);
    }

private:
    // --- the text
    void read_stages();
    Lookup global_lookup() const;
    void read_global_argument(const Statement& statement);
    void read_from(const Statement& statement);
    size_t find_target() const;
    std::set<size_t> needed_stages(size_t target) const;
    std::optional<size_t> stage_index(const std::string& name, size_t before) const;
    const NamedContext* named_context(const std::string& name) const;

    // --- a stage
    void stage(size_t index);
    bool begin(StageWork& work, size_t index);
    bool triggers(StageWork& work, size_t index);
    void statement(StageWork& work, const Statement& statement, size_t index,
                   const std::string& where);
    void run(StageWork& work, const Statement& statement, size_t index, const std::string& where);
    std::string network_of(const Statement& statement) const;
    void set_command(RunCommand& run, const Stage& stage, const Statement& statement) const;
    bool mounts(RunCommand& run, const Stage& stage, const Statement& statement, size_t index,
                const std::string& where);
    void copy(StageWork& work, const Statement& statement, size_t index, const std::string& where);
    std::string add_remote(FetchedTrees& fetched, const Stage& stage, const Statement& statement,
                           const std::string& word) const;
    void finish_add(CopyFiles& copy, const Statement& statement, FetchedTrees fetched);
    void workdir(StageWork& work, const Statement& statement, const std::string& where);
    std::string argument(Stage& stage, const Statement& statement);
    void add_step(StageWork& work, const std::string& where, const std::string& shown,
                  const std::string& created_by, auto what);
    void finish(StageWork& work);

    // --- what a name or a word means
    std::optional<TreeRef> image(const ImageWish& wish, const std::string& where);
    std::optional<TreeRef> source(const std::string& name, size_t index, const std::string& where);
    std::vector<std::string> words(const Stage& stage, const Statement& statement) const;
    std::string flag(const Stage& stage, const Statement& statement, std::string_view name) const;
    std::optional<std::string> arg_value(const std::string& name,
                                         const std::optional<std::string>& fallback);
    std::vector<std::string> proxies(const Stage& stage) const;
    int64_t source_date(const spec::ImageConfig* base);

    const Dockerfile& file_;
    const BuildOptions& options_;
    const PlanFacts& facts_;
    BuildPlan out_;
    std::deque<Dockerfile> triggers_;
    std::map<std::string, std::string> global_args_;
    std::vector<StageText> texts_;
    std::map<size_t, StageWork> stages_;
};

// --- the text

void Planner::read_stages() {
    const spec::Platform target = parse_platform(facts_.platform);
    global_args_ = {{"TARGETPLATFORM", facts_.platform},
                    {"BUILDPLATFORM", host_platform()},
                    {"TARGETOS", target.os},
                    {"BUILDOS", "linux"},
                    {"TARGETARCH", target.architecture},
                    {"BUILDARCH", host_architecture()},
                    {"TARGETVARIANT", target.variant},
                    {"BUILDVARIANT", ""},
                    {"TARGETOSVERSION", ""},
                    {"BUILDOSVERSION", ""},
                    {"TARGETSTAGE", options_.target.empty() ? "default" : options_.target}};
    for (const Statement& each : file_.statements)
        context(str(facts_.file_name, ":", each.line), [&] {
            if (each.keyword == "ARG" && texts_.empty()) return read_global_argument(each);
            if (each.keyword == "FROM") return read_from(each);
            if (texts_.empty())
                throw Error("no build stage in current context: the first instruction must be "
                            "FROM, but is ",
                            each.keyword);
            sources_of(each);
            texts_.back().statements.push_back(&each);
        });
    if (texts_.empty()) throw Error("no build stage in ", facts_.file_name, ": it has no FROM");
}

Lookup Planner::global_lookup() const {
    return [this](const std::string& name) -> std::optional<std::string> {
        const auto at = global_args_.find(name);
        return at == global_args_.end() ? std::nullopt : std::optional(at->second);
    };
}

void Planner::read_global_argument(const Statement& statement) {
    const Lookup global = global_lookup();
    for (const auto& [name, typed] : named_arguments(statement, file_.escape)) {
        std::optional<std::string> fallback;
        if (typed) fallback = expand(*typed, file_.escape, global);
        if (const auto value = arg_value(name, fallback)) global_args_[name] = *value;
    }
}

void Planner::read_from(const Statement& statement) {
    const Lookup global = global_lookup();
    const FromArguments from = from_arguments(statement);
    std::string platform;
    if (const std::string* const typed = statement.flag("platform"))
        platform = expand(*typed, file_.escape, global);
    texts_.push_back({.name = stage_name(from.stage),
                      .base = expand(from.base, file_.escape, global),
                      .platform = platform.empty() ? facts_.platform : shown_platform(platform),
                      .statements = {&statement}});
}

// A context takes the place of whatever has its name, stage or image.
const NamedContext* Planner::named_context(const std::string& name) const {
    if (options_.contexts.empty() || name.empty()) return nullptr;
    const auto found = options_.contexts.find(context_name(name));
    return found == options_.contexts.end() ? nullptr : &found->second;
}

std::optional<size_t> Planner::stage_index(const std::string& name, size_t before) const {
    if (named_context(name)) return {};
    for (size_t i = before; i-- > 0;)
        if (!texts_[i].name.empty() && texts_[i].name == lower(name)) return i;
    if (const auto number = parse_number<size_t>(name); number && *number < before) return number;
    return {};
}

size_t Planner::find_target() const {
    if (options_.target.empty()) return texts_.size() - 1;
    if (const auto index = stage_index(options_.target, texts_.size())) return *index;
    std::vector<std::string_view> names;
    for (const StageText& each : texts_) names.push_back(each.name);
    const std::string_view meant = nearest(lower(options_.target), names);
    throw Error("target stage ", quoted(options_.target), " could not be found in ",
                facts_.file_name, meant.empty() ? "" : str(" (did you mean ", meant, "?)"));
}

std::set<size_t> Planner::needed_stages(size_t target) const {
    std::set<size_t> needed;
    std::vector<size_t> open = {target};
    while (!open.empty()) {
        const size_t index = open.back();
        open.pop_back();
        if (!needed.insert(index).second) continue;
        if (const auto base = stage_index(texts_[index].base, index);
            base && !parse_number<size_t>(texts_[index].base))
            open.push_back(*base);
        for (const Statement* each : texts_[index].statements)
            for (const std::string& from : sources_of(*each))
                if (const auto other = stage_index(from, index)) open.push_back(*other);
    }
    return needed;
}

// --- a stage

// Plans it, unless that was done. One whose images are not known is left out: the plan will be made
// again.
void Planner::stage(size_t index) {
    if (stages_.contains(index)) return;
    const StageText& text = texts_[index];
    StageWork work;
    if (texts_.size() > 1) work.shown = text.name.empty() ? str("stage-", index) : text.name;
    work.of += size_t(std::ranges::count_if(
        text.statements, [](const Statement* each) { return makes_layer(*each); }));
    const auto where = [&](const Statement& each) { return str(facts_.file_name, ":", each.line); };
    work.platform = text.platform;
    if (text.platform != host_platform())
        work.shown = str(text.platform, work.shown.empty() ? "" : " ", work.shown);
    const bool known = context(where(*text.statements[0]),
                               [&] { return begin(work, index) && triggers(work, index); });
    for (const Statement* each : text.statements) {
        if (each->keyword == "FROM") continue;
        context(where(*each), [&] {
            // What else lacks is found out at once.
            if (known) return statement(work, *each, index, where(*each));
            for (const std::string& from : sources_of(*each)) source(from, index, where(*each));
        });
    }
    stages_.emplace(index, std::move(work));
}

// FROM. False: its image is not known.
bool Planner::begin(StageWork& work, size_t index) {
    const std::string& base = texts_[index].base;
    Stage& stage = work.stage;
    if (const auto other = stage_index(base, index); other && !parse_number<size_t>(base)) {
        this->stage(*other);
        const StageWork& from = stages_.at(*other);
        stage = from.stage;
        stage.has_cmd = false;
        work.base = from.base;
        work.tree = from.tree;
        return out_.missing.empty();
    }
    if (base == "scratch") {
        stage.latest = source_date(nullptr);
        const spec::Platform platform = parse_platform(texts_[index].platform);
        stage.config.architecture = platform.architecture;
        stage.config.os = platform.os;
        stage.config.variant = platform.variant;
        stage.config.config.env = {spec::Variable("PATH", default_path)};
        stage.config.config.working_dir = "/";
        return true;
    }
    if (const NamedContext* const named = named_context(base);
        named && named->kind == NamedContext::Kind::tree)
        throw Error("FROM of the context ", named->name,
                    ", which is no image, is not supported: COPY --from=", named->name, " is");
    const ImageWish wish{base, texts_[index].platform};
    const auto tree = image(wish, str(facts_.file_name, ":", texts_[index].statements[0]->line));
    if (!tree) return false;
    work.base = work.tree = *tree;
    stage.config = facts_.images.at(wish);
    stage.latest = source_date(&stage.config);
    stage.config.created.clear();
    bool has_path = false;
    stage.env("PATH", has_path);
    if (!has_path) stage.set_env("PATH", default_path);
    return true;
}

// ONBUILD's instructions of the base, in the place of the FROM. They are the words of an image.
// False: what they copy from is not known.
bool Planner::triggers(StageWork& work, size_t index) {
    const std::vector<std::string> texts = std::exchange(work.stage.config.config.on_build, {});
    if (is_true(arg_value("BUILDKIT_DISABLE_ONBUILD", "").value_or(""))) return true;
    for (const std::string& text : texts) {
        const Dockerfile& trigger = triggers_.emplace_back(parse_dockerfile(text, "ONBUILD"));
        check_statements(trigger, "ONBUILD");
        for (const Statement& each : trigger.statements) {
            context("ONBUILD", [&] { check_trigger(each.keyword); });
            work.of += makes_layer(each);
            statement(work, each, index,
                      str(facts_.file_name, ":", texts_[index].statements[0]->line, ": ONBUILD"));
            if (!out_.missing.empty()) return false;
        }
    }
    return true;
}

void Planner::statement(StageWork& work, const Statement& each, size_t index,
                        const std::string& where) {
    if (each.keyword == "RUN") return run(work, each, index, where);
    if (each.keyword == "COPY" || each.keyword == "ADD") return copy(work, each, index, where);
    if (each.keyword == "WORKDIR") return workdir(work, each, where);
    const std::string created_by = each.keyword == "ARG"
                                       ? argument(work.stage, each)
                                       : apply_metadata(work.stage, each, file_.escape).value();
    // ONBUILD is for whoever builds on the image: no step of this one.
    if (each.keyword != "ONBUILD") work.stage.add_history(created_by, true);
}

void Planner::add_step(StageWork& work, const std::string& where, const std::string& shown,
                       const std::string& created_by, auto what) {
    const std::string name = work.shown.empty() ? "stage-0" : work.shown;
    const auto is_named = [&](const std::string& typed) { return lower(typed) == name; };
    out_.graph.steps.push_back(
        {.stage = work.shown,
         .where = where,
         .shown = shown,
         .number = ++work.number,
         .of = work.of,
         .below = work.tree,
         .latest = work.stage.latest,
         .anew = options_.no_cache || std::ranges::any_of(options_.no_cache_stages, is_named),
         .platform = work.platform,
         .what = std::move(what)});
    work.tree = {.kind = TreeRef::Kind::step, .index = out_.graph.steps.size() - 1, .name = {}};
    work.stage.add_history(created_by, false);
}

// --- RUN

void Planner::run(StageWork& work, const Statement& statement, size_t index,
                  const std::string& where) {
    const Stage& stage = work.stage;
    RunCommand run{.args = {},
                   .env = stage.environment(),
                   .proxies = proxies(stage),
                   .user = stage.config.config.user,
                   .directory = stage.config.config.working_dir,
                   .network = network_of(statement),
                   .label = {},
                   .mounts = {},
                   .scripts = {}};
    const std::string* const security = statement.flag("security");
    run.insecure = security && *security == "insecure";
    if (run.insecure && !options_.allow_insecure)
        throw Error("security.insecure is not allowed: RUN --security=insecure needs build "
                    "--allow security.insecure");
    set_command(run, stage, statement);
    if (!mounts(run, stage, statement, index, where)) return;

    std::string created_by = "RUN ";
    std::vector<std::string> args;
    const Lookup value = stage.lookup();
    for (const Argument& arg : stage.args)
        args.push_back(arg.name + "=" + value(arg.name).value_or(""));
    if (!args.empty()) created_by += str("|", args.size(), " ", join(args, " "), " ");
    created_by += run.label + " # buildkit";
    const std::string shown =
        display_name(statement, statement.is_json ? statement.rest : run.args.back());
    add_step(work, where, shown, created_by, std::move(run));
}

std::string Planner::network_of(const Statement& statement) const {
    const std::string* const asked = statement.flag("network");
    if (!asked || *asked == "default") return options_.network;
    if (*asked == "host" && options_.network != "host" && !options_.allow_host_network)
        throw Error("network.host is not allowed: RUN --network=host needs build --network host or "
                    "--allow network.host");
    return *asked;
}

// "RUN <<EOF" alone: the text is the script, or a program with its interpreter; otherwise the shell
// reads the heredocs itself.
void Planner::set_command(RunCommand& run, const Stage& stage, const Statement& statement) const {
    std::string command = statement.rest;
    const bool alone = statement.heredocs.size() == 1 &&
                       trim(statement.rest).find_first_of(" \t") == std::string_view::npos;
    if (alone && statement.heredocs[0].content.starts_with("#!")) {
        run.scripts.push_back({statement.heredocs[0].name, statement.heredocs[0].content});
        command = "/dev/pipes/" + statement.heredocs[0].name;
    } else if (alone) {
        command = statement.heredocs[0].content;
    } else {
        for (const Heredoc& heredoc : statement.heredocs)
            command += "\n" + heredoc.content + heredoc.name;
    }
    run.args = statement.is_json ? statement.json : stage.shell();
    if (!statement.is_json) run.args.push_back(command);
    if (run.args.empty()) throw Error("RUN requires at least one argument");
    run.label = join(run.args, " ");
}

// False: what one is from is not known.
bool Planner::mounts(RunCommand& run, const Stage& stage, const Statement& statement, size_t index,
                     const std::string& where) {
    const auto expanded = [&](std::string_view value) {
        return expand(value, file_.escape, stage.lookup());
    };
    for (const auto& [name, value] : statement.flags) {
        if (name != "mount") continue;
        PlannedMount planned{.mount = parse_run_mount(value, expanded), .from = {}};
        RunMount& mount = planned.mount;
        const bool has_place = mount.type != RunMount::Type::secret || !mount.target.empty();
        if (has_place && mount.type != RunMount::Type::ssh && !mount.target.starts_with('/'))
            mount.target = str(run.directory, "/", mount.target);
        if (!mount.from.empty()) {
            const auto from = source(mount.from, index, where);
            if (!from) return false;
            planned.from = *from;
        } else if (mount.type == RunMount::Type::bind) {
            planned.from = {.kind = TreeRef::Kind::context, .index = 0, .name = {}};
        }
        run.mounts.push_back(std::move(planned));
    }
    return true;
}

// The predefined arguments that were given reach RUN without an ARG; with one they are ordinary
// ones.
std::vector<std::string> Planner::proxies(const Stage& stage) const {
    std::vector<std::string> found;
    for (const auto& [name, given] : options_.build_args) {
        if (!is_predefined(name) || stage.lookup()(name)) continue;
        const auto own = facts_.environment.find(name);
        if (given)
            found.push_back(name + "=" + *given);
        else if (own != facts_.environment.end())
            found.push_back(name + "=" + own->second);
    }
    return found;
}

// --- COPY and ADD

// What --from names: an earlier stage, or an image. Nothing: an image that is not known.
std::optional<TreeRef> Planner::source(const std::string& name, size_t index,
                                       const std::string& where) {
    if (const NamedContext* const named = named_context(name);
        named && named->kind == NamedContext::Kind::tree)
        return TreeRef{.kind = TreeRef::Kind::context, .index = 0, .name = named->name};
    if (!named_context(name) && !texts_[index].name.empty() && lower(name) == texts_[index].name)
        throw Error("circular dependency detected on stage: ", name);
    const auto other = stage_index(name, index);
    if (!other) return image({name, texts_[index].platform}, where);
    stage(*other);
    return stages_.at(*other).tree;
}

// Gives its place in the tree that it will be in.
std::string Planner::add_remote(FetchedTrees& fetched, const Stage& stage,
                                const Statement& statement, const std::string& word) const {
    const RemoteSource source{.url = word,
                              .checksum = flag(stage, statement, "checksum"),
                              .keep_git_dir = is_set(statement, "keep-git-dir")};
    check_remote_source(source);
    fetched.sources.push_back(source);
    return str(fetched.sources.size() - 1, "/", source.place());
}

// What is fetched is unpacked only if that is said; what lies in the context, unless it is denied.
void Planner::finish_add(CopyFiles& copy, const Statement& statement, FetchedTrees fetched) {
    const bool is_remote = !fetched.sources.empty();
    if (is_remote && fetched.sources.size() != copy.sources.size())
        throw Error("ADD of files of the context and of remote ones at once is not supported");
    if (statement.flag("checksum") && copy.sources.size() != 1)
        throw Error("checksum can't be specified for multiple sources");
    if (statement.flag("checksum") && !is_remote)
        throw Error("checksum requires HTTP(S) or Git sources");
    if (statement.flag("unpack") ? is_set(statement, "unpack") : !is_remote)
        copy.unpack = CopyFiles::Unpack::archives;
    if (!is_remote) return;
    copy.from.name = str("fetched-", out_.graph.fetched.size());
    out_.graph.fetched.emplace(copy.from.name, std::move(fetched));
}

void Planner::copy(StageWork& work, const Statement& statement, size_t index,
                   const std::string& where) {
    const Stage& stage = work.stage;
    CopyFiles copy{.keyword = statement.keyword,
                   .from = {.kind = TreeRef::Kind::context},
                   .sources = {},
                   .files = {},
                   .destination = {},
                   .chown = flag(stage, statement, "chown"),
                   .chmod = flag(stage, statement, "chmod"),
                   .excludes = {},
                   .parents = is_set(statement, "parents"),
                   .link = is_set(statement, "link")};
    for (const auto& [name, value] : statement.flags)
        if (name == "exclude") copy.excludes.push_back(expand(value, file_.escape, stage.lookup()));
    FetchedTrees fetched{.where = where, .sources = {}};
    std::vector<std::string> all = words(stage, statement);
    const std::string typed = all.back();
    all.pop_back();
    const auto heredoc_of = [&](const std::string& word) {
        return std::ranges::find_if(statement.heredocs, [&](const Heredoc& each) {
            return word == "<<" + each.name || word == "<<-" + each.name;
        });
    };

    std::vector<std::string> shown;  // the heredocs come last
    for (const std::string& word : all) {
        const auto heredoc = heredoc_of(word);
        if (heredoc == statement.heredocs.end()) {
            const bool is_remote = statement.keyword == "ADD" && is_remote_source(word);
            copy.sources.push_back(is_remote ? add_remote(fetched, stage, statement, word) : word);
            shown.push_back(word);
            continue;
        }
        copy.files.push_back({heredoc->name, heredoc->expand
                                                 ? expand_heredoc(heredoc->content, stage.lookup())
                                                 : heredoc->content});
    }
    for (const InlineFile& file : copy.files) shown.push_back("<<" + file.name);
    if (statement.keyword == "ADD") finish_add(copy, statement, std::move(fetched));

    const std::string& directory = stage.config.config.working_dir;
    copy.destination = typed;
    if (!typed.starts_with('/'))
        copy.destination = str(directory.empty() ? "" : directory, "/", typed);
    if (const std::string* name = statement.flag("from")) {
        const auto from = source(*name, index, where);
        if (!from) return;
        copy.from = *from;
        copy.keeps_owner = true;
    }
    const std::string created_by = str(statement.keyword, " ", copy.parents ? "--parents " : "",
                                       copy.chown.empty() ? "" : str("--chown=", copy.chown, " "),
                                       copy.chmod.empty() ? "" : str("--chmod=", copy.chmod, " "),
                                       join(shown, " "), " ", typed, " # buildkit");
    add_step(work, where, display_name(statement, statement.rest), created_by, std::move(copy));
}

// --- WORKDIR

void Planner::workdir(StageWork& work, const Statement& statement, const std::string& where) {
    spec::ContainerConfig& config = work.stage.config.config;
    const std::string value = expand(statement.rest, file_.escape, work.stage.lookup());
    if (value.empty()) throw Error("WORKDIR requires a directory");
    std::string next =
        "/" + clean_path(value.starts_with('/') ? value : config.working_dir + "/" + value);
    if (next == "/") {  // is there: no layer
        config.working_dir = next;
        return work.stage.add_history("WORKDIR /", true);
    }
    if (value.starts_with('/') && value.ends_with('/')) next += "/";  // stays, as typed
    config.working_dir = next;
    add_step(work, where, "WORKDIR " + next, "WORKDIR " + next,
             MakeDirectory{.path = next, .owner = config.user});
}

// --- what a name or a word means

std::optional<TreeRef> Planner::image(const ImageWish& wish, const std::string& where) {
    if (!facts_.images.contains(wish)) {
        out_.missing.emplace(wish, where);
        return {};
    }
    std::vector<ImageWish>& images = out_.graph.images;
    const auto at = std::ranges::find(images, wish);
    const size_t index = size_t(at - images.begin());
    if (at == images.end()) images.push_back(wish);
    return TreeRef{.kind = TreeRef::Kind::image, .index = index, .name = {}};
}

std::vector<std::string> Planner::words(const Stage& stage, const Statement& statement) const {
    std::vector<std::string> out;
    for (const std::string& word : path_arguments(statement))
        out.push_back(expand(word, file_.escape, stage.lookup()));
    return out;
}

std::string Planner::flag(const Stage& stage, const Statement& statement,
                          std::string_view name) const {
    const std::string* const value = statement.flag(name);
    return value ? expand(*value, file_.escape, stage.lookup()) : "";
}

std::optional<std::string> Planner::arg_value(const std::string& name,
                                              const std::optional<std::string>& fallback) {
    out_.used_args.insert(name);
    const auto given = options_.build_args.find(name);
    if (given == options_.build_args.end()) return fallback;
    if (given->second) return given->second;
    const auto value = facts_.environment.find(name);
    return value == facts_.environment.end() ? fallback : std::optional(value->second);
}

std::string Planner::argument(Stage& stage, const Statement& statement) {
    std::string shown = "ARG";
    for (const auto& [typed_name, typed] : named_arguments(statement, file_.escape)) {
        const std::string name = expand(typed_name, file_.escape, stage.lookup());
        if (name.empty()) throw Error("ARG names can not be blank");
        std::optional<std::string> fallback;
        if (typed)
            fallback = expand(*typed, file_.escape, stage.lookup());
        else if (const auto at = global_args_.find(name); at != global_args_.end())
            fallback = at->second;
        const std::optional<std::string> value = arg_value(name, fallback);
        stage.set_arg(name, value);
        shown += str(" ", name, value ? "=" + *value : "");
    }
    return shown;
}

// SOURCE_DATE_EPOCH, by --build-arg or from the environment; else the time of the base image.
int64_t Planner::source_date(const spec::ImageConfig* base) {
    const auto of_environment = facts_.environment.find("SOURCE_DATE_EPOCH");
    const std::string text =
        arg_value("SOURCE_DATE_EPOCH", of_environment == facts_.environment.end()
                                           ? std::optional<std::string>()
                                           : of_environment->second)
            .value_or("");
    if (!text.empty()) {
        const auto seconds = parse_number<int64_t>(text);
        if (!seconds || *seconds < 0 || *seconds > latest_time)
            throw Error("invalid SOURCE_DATE_EPOCH ", quoted(text),
                        ": expected seconds since 1970");
        return *seconds;
    }
    // Years before and behind those that nanoseconds can say mean "unknown".
    if (!base || base->created < "1980" || base->created >= "2262") return default_time;
    return parse_rfc3339(base->created) / 1'000'000'000;
}

void Planner::finish(StageWork& work) {
    for (const auto& [key, value] : options_.labels) work.stage.config.config.labels[key] = value;
    work.stage.config.created = rfc3339(work.stage.latest * 1'000'000'000);
    out_.graph.image = {
        .tree = work.tree, .base = work.base, .config = std::move(work.stage.config)};
}

}  // namespace

bool is_predefined(std::string_view name) {
    static constexpr std::string_view known[] = {
        "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
        "ftp_proxy",  "NO_PROXY",   "no_proxy",    "ALL_PROXY",   "all_proxy"};
    return std::ranges::find(known, name) != std::end(known);
}

BuildPlan make_plan(const Dockerfile& file, const BuildOptions& options, const PlanFacts& facts) {
    return Planner(file, options, facts).plan();
}
