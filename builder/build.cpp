// A build is: parse, check every statement, find the stages that the target needs, then take each
// stage's statements in order. Everything that can be known before the first step is checked before
// it; nothing gets a name unless all of it was built. A step that makes a layer is looked up in the
// cache by the chain of all that led to it.

#include "builder/build.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/regular_file.h"
#include "base/sys.h"
#include "builder/copy.h"
#include "builder/language/dockerfile.h"
#include "builder/language/ignore.h"
#include "builder/language/instructions.h"
#include "builder/language/words.h"
#include "builder/metadata.h"
#include "builder/run.h"
#include "builder/stage.h"
#include "builder/workplace.h"
#include "image/bundle.h"
#include "image/layer/rules.h"
#include "image/pull.h"
#include "image/trust/judge.h"

namespace {

constexpr size_t most_dockerfile = size_t(16) << 20, most_ignore_file = size_t(1) << 20;
constexpr size_t shortest_id = 12;  // digits of an image's ID, as listings show it
constexpr const char* default_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct StagePlan {
    std::string name, base;               // base is expanded
    std::vector<const Statement*> steps;  // FROM first
};

// Arguments that need no ARG instruction (the reference's list).
bool is_predefined(std::string_view name) {
    static constexpr std::string_view known[] = {
        "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
        "ftp_proxy",  "NO_PROXY",   "no_proxy",    "ALL_PROXY",   "all_proxy"};
    return std::ranges::find(known, name) != std::end(known);
}

std::string stage_name(const std::string& typed) {
    static constexpr std::string_view reserved[] = {"context", "scratch"};
    const std::string name = lower(typed);
    const auto is_word = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    };
    if (name.empty() || name[0] < 'a' || name[0] > 'z' || !std::ranges::all_of(name, is_word))
        throw Error("invalid name for build stage: ", quoted(typed),
                    ", name can't start with a number or contain symbols");
    if (std::ranges::find(reserved, name) != std::end(reserved))
        throw Error("invalid name for build stage: ", quoted(typed), ", name is reserved");
    return name;
}

std::string display_name(const std::string& keyword, const std::string& rest) {
    std::string text = keyword + " " + rest;
    std::ranges::replace(text, '\n', ' ');
    return text.size() > 100 ? text.substr(0, 97) + "..." : text;
}

// --from's, if there is one. Which stages are needed must be known before any variable has a value.
const std::string* source_of(const Statement& statement) {
    const std::string* source = statement.flag("from");
    if (source && source->contains('$'))
        throw Error("variable expansion is not supported for --from, define a new stage with FROM "
                    "using ARG from global scope as a workaround");
    return source;
}

// --chown's. Numbers need no passwd, and are the kernel's to their last but one: 4294967295 would
// mean "as it was".
CopyOwner owner_of(const Root& root, const std::string& typed) {
    const spec::UserName who(typed);
    const auto number = [&](const std::string& text) {
        const auto id = parse_number<uint32_t>(text);
        if (id == UINT32_MAX)
            throw Error("invalid --chown ", quoted(typed), ": ids must be in range 0-4294967294");
        return id;
    };
    const auto uid = number(who.user()), gid = number(who.group());
    CopyOwner owner;
    owner.uid = uid ? *uid : resolve_user(root, who.user()).uid;
    if (gid)
        owner.gid = *gid;
    else if (!who.group().empty())
        owner.gid = resolve_user(root, "0:" + who.group()).gid;
    else
        owner.gid = uid ? *uid : resolve_user(root, who.user()).gid;
    return owner;
}

class Build {
public:
    Build(const Store& store, const BuildOptions& options)
        : store_(store), options_(options), network_(store.root()), context_(options.context) {}

    Image run() {
        read_dockerfile();
        check_tags();
        plan_stages();
        const size_t target = find_target();
        const std::set<size_t> needed = needed_stages(target);
        count_steps(needed);
        for (const size_t i : needed) build_stage(i);
        return finish(stages_.at(target));
    }

private:
    void read_dockerfile();
    std::optional<std::string> place_in_context(const std::string& path) const;
    void check_tags();
    void plan_stages();
    size_t find_target() const;
    std::set<size_t> needed_stages(size_t target) const;
    void count_steps(const std::set<size_t>& needed);
    void build_stage(size_t index);
    void from(Stage& stage, const StagePlan& plan, size_t index);
    void run_triggers(Stage& stage, size_t index);
    void build_source(const Statement& statement, size_t index);
    void step(Stage& stage, const Statement& statement);
    Image finish(Stage& stage);

    void run_instruction(Stage& stage, const Statement& statement);
    void copy_instruction(Stage& stage, const Statement& statement);
    void workdir(Stage& stage, const Statement& statement);
    void metadata(Stage& stage, const Statement& statement);

    std::vector<std::string> words(const Stage& stage, const Statement& statement) const;
    std::string arg(Stage& stage, const Statement& statement);
    std::vector<std::string> proxies(const Stage& stage) const;
    std::optional<std::string> arg_value(const std::string& name,
                                         const std::optional<std::string>& fallback);
    Image load_image(const std::string& name);
    std::optional<size_t> stage_index(const std::string& name, size_t before) const;

    void layer_step(Stage& stage, const Stage& on, const std::string& key,
                    const std::string& created_by,
                    const std::function<std::string(const std::string& work)>& make);
    Mounted mount_stage(const Stage& stage, const std::string& work) const;
    std::string now() const { return rfc3339_now(); }
    void say(const std::string& line) const;
    void begin(const std::string& what);
    void done(const std::string& note);

    const Store& store_;
    const BuildOptions& options_;
    BuildNetwork network_;
    Root context_;
    IgnoreRules ignore_;
    std::string file_name_;
    Dockerfile file_;
    std::deque<Dockerfile> triggers_;
    std::map<std::string, std::string> global_args_;
    std::vector<StagePlan> plans_;
    std::map<size_t, Stage> stages_;
    std::set<std::string> used_args_;
    int step_ = 0, steps_ = 0;
    long long began_ = 0;
};

void Build::say(const std::string& line) const {
    if (!options_.quiet) std::fprintf(stderr, "%s\n", line.c_str());
}

void Build::begin(const std::string& what) {
    ++step_;
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    began_ = 1000LL * time.tv_sec + time.tv_nsec / 1000000;
    say(str("#", step_, " [", step_, "/", steps_, "] ", what));
}

void Build::done(const std::string& note) {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    const long long took = 1000LL * time.tv_sec + time.tv_nsec / 1000000 - began_;
    char text[32];
    std::snprintf(text, sizeof text, "%.1fs", double(took) / 1000);
    say(note == "CACHED" ? str("#", step_, " CACHED") : str("#", step_, " DONE ", text));
}

// Where a file is in the context, if it is there: what lies in there is a stranger's, what the user
// names elsewhere is his own, a pipe too (-f <(…)).
std::optional<std::string> Build::place_in_context(const std::string& path) const {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path directory =
        fs::canonical(path.contains('/') ? path.substr(0, path.find_last_of('/') + 1) : ".", error);
    if (error) return {};
    const fs::path inside = directory.lexically_relative(fs::canonical(options_.context, error));
    if (error || inside.empty() || *inside.begin() == "..") return {};
    return (inside / file_name_).lexically_normal().string();
}

void Build::read_dockerfile() {
    std::string text;
    std::optional<UniqueFd> beside;  // NAME.dockerignore, where the Dockerfile is
    if (options_.dockerfile == "-") {
        file_name_ = "Dockerfile";
        text = sys::read_all(0, most_dockerfile);
    } else {
        const std::string path =
            options_.dockerfile.empty() ? options_.context + "/Dockerfile" : options_.dockerfile;
        file_name_ = path.substr(path.find_last_of('/') + 1);
        std::optional<std::string> found;
        if (const auto inside = place_in_context(path)) {
            found = context("failed to read dockerfile", [&]() -> std::optional<std::string> {
                const auto there = context_.open_if_exists(*inside, O_PATH);
                if (!there) return {};
                return sys::read_all(reopen_regular(there->get(), path).get(), most_dockerfile);
            });
            beside = open_regular_if_exists(context_, *inside + ".dockerignore");
        } else if ((found = read_file_if_exists(path, most_dockerfile))) {
            const Root directory(path.substr(0, path.find_last_of('/') + 1));
            beside = open_regular_if_exists(directory, file_name_ + ".dockerignore");
        }
        if (!found)
            throw Error("failed to read dockerfile: open ", path, ": no such file or directory");
        text = *found;
    }
    file_ = parse_dockerfile(text, file_name_);
    check_statements(file_, file_name_);
    if (!beside) beside = open_regular_if_exists(context_, ".dockerignore");
    if (beside)
        ignore_ = context("reading the ignore file", [&] {
            return IgnoreRules(sys::read_all(beside->get(), most_ignore_file));
        });
}

void Build::check_tags() {
    for (const std::string& tag : options_.tags) {
        if (tag.contains('@'))
            throw Error("invalid tag ", quoted(tag), ": a tag cannot have a digest");
        context("invalid tag " + quoted(tag), [&] { parse_reference(tag); });
    }
}

void Build::plan_stages() {
    auto global = [&](const std::string& name) -> std::optional<std::string> {
        const auto at = global_args_.find(name);
        if (at == global_args_.end()) return {};
        return at->second;
    };
    const std::string architecture = host_architecture();
    for (const auto& [key, value] : std::map<std::string, std::string>{
             {"TARGETPLATFORM", host_platform()},
             {"BUILDPLATFORM", host_platform()},
             {"TARGETOS", "linux"},
             {"BUILDOS", "linux"},
             {"TARGETARCH", architecture},
             {"BUILDARCH", architecture},
             {"TARGETVARIANT", ""},
             {"BUILDVARIANT", ""},
             {"TARGETOSVERSION", ""},
             {"BUILDOSVERSION", ""},
             {"TARGETSTAGE", options_.target.empty() ? "default" : options_.target}})
        global_args_[key] = value;
    for (const Statement& statement : file_.statements) {
        context(str(file_name_, ":", statement.line), [&] {
            if (statement.keyword == "ARG" && plans_.empty()) {
                for (const std::string& word : raw_words(statement.rest, file_.escape)) {
                    const size_t equals = word.find('=');
                    const std::string name = word.substr(0, equals);
                    std::optional<std::string> fallback;
                    if (equals != std::string::npos)
                        fallback = expand(word.substr(equals + 1), file_.escape, global);
                    if (const auto value = arg_value(name, fallback)) global_args_[name] = *value;
                }
            } else if (statement.keyword == "FROM") {
                std::vector<std::string> parts;
                for (const std::string& word : blank_separated(statement.rest))
                    parts.push_back(parts.size() < 2 ? expand(word, file_.escape, global) : word);
                if (parts.size() != 1 && !(parts.size() == 3 && lower(parts[1]) == "as"))
                    throw Error("FROM requires either one or three arguments");
                StagePlan plan;
                plan.base = parts[0];
                plan.name = parts.size() == 3 ? stage_name(parts[2]) : "";
                if (const std::string* platform = statement.flag("platform"))
                    if (const std::string wanted = expand(*platform, file_.escape, global);
                        !wanted.empty() && wanted != host_platform())
                        throw Error("FROM --platform=", wanted,
                                    " is not supported yet: this machine is ", host_platform());
                plans_.push_back(plan);
                plans_.back().steps.push_back(&statement);
            } else if (plans_.empty()) {
                throw Error("no build stage in current context: the first instruction must be "
                            "FROM, but is ",
                            statement.keyword);
            } else {
                source_of(statement);
                plans_.back().steps.push_back(&statement);
            }
        });
    }
    if (plans_.empty()) throw Error("no build stage in ", file_name_, ": it has no FROM");
}

std::optional<size_t> Build::stage_index(const std::string& name, size_t before) const {
    for (size_t i = 0; i < before; ++i)
        if (!plans_[i].name.empty() && plans_[i].name == lower(name)) return i;
    if (const auto number = parse_number<size_t>(name); number && *number < before) return number;
    return {};
}

size_t Build::find_target() const {
    if (options_.target.empty()) return plans_.size() - 1;
    if (const auto index = stage_index(options_.target, plans_.size())) return *index;
    throw Error("target stage ", quoted(options_.target), " could not be found in ", file_name_);
}

std::set<size_t> Build::needed_stages(size_t target) const {
    std::set<size_t> needed;
    std::vector<size_t> open = {target};
    while (!open.empty()) {
        const size_t index = open.back();
        open.pop_back();
        if (!needed.insert(index).second) continue;
        if (const auto base = stage_index(plans_[index].base, index);
            base && !parse_number<size_t>(plans_[index].base))
            open.push_back(*base);
        for (const Statement* statement : plans_[index].steps)
            if (const std::string* source = source_of(*statement))
                if (const auto other = stage_index(*source, index)) open.push_back(*other);
    }
    return needed;
}

void Build::count_steps(const std::set<size_t>& needed) {
    for (const size_t i : needed)
        for (const Statement* statement : plans_[i].steps) {
            static constexpr std::string_view shown[] = {"FROM", "RUN", "COPY", "ADD", "WORKDIR"};
            steps_ += std::ranges::find(shown, statement->keyword) != std::end(shown);
        }
}

void Build::build_stage(size_t index) {
    const StagePlan& plan = plans_[index];
    Stage& stage = stages_[index];
    stage.name = plan.name.empty() ? std::to_string(index) : plan.name;
    for (const Statement* statement : plan.steps)
        context(str(file_name_, ":", statement->line), [&] {
            if (statement->keyword == "FROM")
                from(stage, plan, index);
            else
                step(stage, *statement);
        });
}

Image Build::load_image(const std::string& name) {
    const Reference reference =
        context("invalid base image " + quoted(name), [&] { return parse_reference(name); });
    // An ID is long: what is short is a name, or the number of a stage that is not there.
    if (!options_.pull)
        if (const auto found = store_.find(name);
            found && (name.size() >= shortest_id || (found->name && is_name(name, *found->name)))) {
            require_kept_signature(options_.trust, store_, *found, "", name);
            return store_.load(found->descriptor);
        }
    return pull(store_, reference, options_.trust);
}

void Build::from(Stage& stage, const StagePlan& plan, size_t index) {
    begin("FROM " + plan.base);
    if (const auto base = stage_index(plan.base, index); base && !parse_number<size_t>(plan.base)) {
        const std::string name = stage.name;
        stage = stages_.at(*base);
        stage.name = name;
        stage.args.clear();
        stage.has_cmd = false;
    } else if (plan.base == "scratch") {
        stage.config.architecture = host_architecture();
        stage.config.os = "linux";
        stage.config.config.env = {spec::Variable("PATH", default_path)};
        stage.config.config.working_dir = "/";
    } else {
        const Image image = load_image(plan.base);
        Snapshots(store_).unpack(image);
        stage.config = image.config;
        stage.layers = image.manifest.layers;
        stage.diff_ids = image.diff_ids();
        bool has_path = false;
        stage.env("PATH", has_path);
        if (!has_path) stage.set_env("PATH", default_path);
    }
    stage.config.created.clear();
    done("");
    run_triggers(stage, index);
}

// ONBUILD's instructions of the base, in the place of the FROM. They are the words of an image.
void Build::run_triggers(Stage& stage, size_t index) {
    const std::vector<std::string> texts = std::exchange(stage.config.config.on_build, {});
    const std::string disabled = arg_value("BUILDKIT_DISABLE_ONBUILD", "").value_or("");
    if (disabled == "1" || lower(disabled) == "true") return;
    for (const std::string& text : texts) {
        const Dockerfile& trigger = triggers_.emplace_back(parse_dockerfile(text, "ONBUILD"));
        check_statements(trigger, "ONBUILD");
        for (const Statement& statement : trigger.statements)
            context("ONBUILD", [&] { check_trigger(statement.keyword); });
        for (const Statement& statement : trigger.statements) {
            build_source(statement, index);
            step(stage, statement);
        }
    }
}

// The stage that a trigger copies from: that it is needed is known only now.
void Build::build_source(const Statement& statement, size_t index) {
    const std::string* source = source_of(statement);
    const auto other = source ? stage_index(*source, index) : std::nullopt;
    if (!other) return;
    std::set<size_t> missing = needed_stages(*other);
    std::erase_if(missing, [&](size_t i) { return stages_.contains(i); });
    count_steps(missing);
    for (const size_t i : missing) build_stage(i);
}

std::optional<std::string> Build::arg_value(const std::string& name,
                                            const std::optional<std::string>& fallback) {
    used_args_.insert(name);
    const auto given = options_.build_args.find(name);
    if (given == options_.build_args.end()) return fallback;
    if (given->second) return given->second;
    const char* value = ::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : fallback;
}

std::vector<std::string> Build::words(const Stage& stage, const Statement& statement) const {
    std::vector<std::string> out;
    for (const std::string& word :
         statement.is_json ? statement.json : blank_separated(statement.rest))
        out.push_back(expand(word, file_.escape, stage.lookup()));
    return out;
}

void Build::step(Stage& stage, const Statement& statement) {
    if (statement.keyword == "RUN") return run_instruction(stage, statement);
    if (statement.keyword == "COPY" || statement.keyword == "ADD")
        return copy_instruction(stage, statement);
    if (statement.keyword == "WORKDIR") return workdir(stage, statement);
    metadata(stage, statement);
}

// A step that makes a layer: from the cache, or made now in a work directory whose upper/ becomes
// it. `make` gives the key of what it made, which is another one if the context was edited
// meanwhile. `on` is what it is made on: the stage, or nothing.
void Build::layer_step(Stage& stage, const Stage& on, const std::string& wanted,
                       const std::string& created_by,
                       const std::function<std::string(const std::string& work)>& make) {
    std::string key = wanted;
    // Of several builds that want one step, one makes it, and the others wait here and find it.
    std::optional<FileLock> alone;
    std::optional<CachedLayer> layer;
    if (!options_.no_cache) {
        layer = find_cached(store_, key, on.diff_ids);
        if (!layer) {
            alone.emplace(lock_path(store_, key));
            layer = find_cached(store_, key, on.diff_ids);
        }
    }
    const bool cached = layer.has_value();
    if (!layer) {
        const Workplace work(store_, "build");
        key = make(work.path());
        sys::make_directories(work.path() + "/upper", 0755);
        const Snapshots::NewLayer made =
            Snapshots(store_).commit(work.path() + "/upper", on.diff_ids);
        layer = CachedLayer{
            .blob = made.blob, .diff_id = made.diff_id, .empty = made.empty, .created = now()};
        remember(store_, key, *layer);
    }
    stage.layers.push_back(layer->blob);
    stage.diff_ids.push_back(layer->diff_id);
    stage.config.rootfs.diff_ids.push_back(layer->diff_id.text());
    if (&on != &stage) Snapshots(store_).unpack(stage.image());
    stage.add_history(created_by, false, layer->created);
    done(cached ? "CACHED" : "");
}

Mounted Build::mount_stage(const Stage& stage, const std::string& work) const {
    return Mounted(Snapshots(store_),
                   {.layers = stage.diff_ids,
                    .upper = work + "/upper",
                    .work = work + "/work",
                    .target = work + "/rootfs"},
                   true);
}

void Build::run_instruction(Stage& stage, const Statement& statement) {
    std::string command = statement.rest;
    RunStep run{.args = {},
                .env = stage.environment(),
                .proxies = proxies(stage),
                .network = options_.network,
                .seccomp = options_.seccomp,
                .label = {}};
    if (const std::string* network = statement.flag("network")) {
        if (*network != "host" && *network != "none" && *network != "default")
            throw Error("invalid network mode ", quoted(*network), " for RUN");
        if (*network != "default") run.network = *network;
        if (run.network == "host" && options_.network != "host" && !options_.allow_host_network)
            throw Error("network.host is not allowed: RUN --network=host needs build --network "
                        "host or --allow network.host");
    }
    if (!statement.heredocs.empty()) {
        // "RUN <<EOF" alone: the text is the script; otherwise the shell reads the heredocs itself.
        const bool alone = statement.heredocs.size() == 1 &&
                           trim(statement.rest).find_first_of(" \t") == std::string_view::npos;
        if (alone)
            command = statement.heredocs[0].content;
        else
            for (const Heredoc& heredoc : statement.heredocs)
                command += "\n" + heredoc.content + heredoc.name;
        if (alone && command.starts_with("#!"))
            throw Error("a heredoc with an interpreter line is not supported yet");
    }
    std::string created_by = "RUN ";
    std::vector<std::string> args;
    for (const Argument& arg : stage.args) args.push_back(arg.name + "=" + arg.value.value_or(""));
    if (!args.empty()) created_by += str("|", args.size(), " ", join(args, " "), " ");
    if (statement.is_json) {
        run.args = statement.json;
        run.label = join(run.args, " ");
    } else {
        run.args = stage.shell();
        run.args.push_back(command);
        run.label = join(run.args, " ");
    }
    created_by += run.label + " # buildkit";
    if (run.args.empty()) throw Error("RUN requires at least one argument");
    begin(display_name("RUN", command));
    std::vector<std::string> fields = {"RUN",
                                       json::dump(json::write(run.args)),
                                       json::dump(json::write(run.env)),
                                       stage.config.config.user.text(),
                                       stage.config.config.working_dir,
                                       run.network};
    if (!run.seccomp.empty()) fields.push_back(run.seccomp);
    const std::string key = stage.key_of(fields);
    layer_step(stage, stage, key, created_by, [&](const std::string& work) {
        run_step(store_, stage, run, work, network_,
                 [&](std::string_view line) { say(str("#", step_, " ", line)); });
        return key;
    });
}

// The predefined arguments that were given reach RUN without an ARG; with one they are ordinary
// ones.
std::vector<std::string> Build::proxies(const Stage& stage) const {
    std::vector<std::string> words;
    for (const auto& [name, given] : options_.build_args) {
        if (!is_predefined(name) || stage.lookup()(name)) continue;
        const char* const own = ::getenv(name.c_str());
        if (given || own) words.push_back(name + "=" + given.value_or(own ? own : ""));
    }
    return words;
}

static bool is_set(const Statement& statement, const std::string& name) {
    const std::string* const value = statement.flag(name);
    if (!value || *value == "false") return false;
    if (value->empty() || *value == "true") return true;
    throw Error("expecting boolean value for flag ", name, ", not: ", *value);
}

void Build::copy_instruction(Stage& stage, const Statement& statement) {
    std::vector<std::string> all = words(stage, statement);
    if (all.size() < 2)
        throw Error(statement.keyword, " requires at least two arguments, but only one was "
                                       "provided: a source and a destination");
    const std::string typed = all.back();
    all.pop_back();
    std::string destination = typed;
    if (std::ranges::any_of(statement.heredocs, [&](const Heredoc& each) {
            return typed == "<<" + each.name || typed == "<<-" + each.name;
        }))
        throw Error(statement.keyword, " cannot accept a heredoc as the final argument");
    if (!destination.starts_with('/'))
        destination = str(
            stage.config.config.working_dir.empty() ? "/" : stage.config.config.working_dir + "/",
            destination);
    const bool is_add = statement.keyword == "ADD";
    for (const std::string& source : all)
        if (is_add && (source.starts_with("http://") || source.starts_with("https://") ||
                       source.starts_with("git@") || source.ends_with(".git")))
            throw Error("ADD of ", quoted(source), ": remote sources are not supported yet");
    begin(display_name(statement.keyword, statement.rest));

    // Where from: the context, an earlier stage, an image.
    std::optional<Workplace> other;
    std::optional<Mounted> image_of_other;
    std::optional<Root> mounted;
    std::string source_key =
        "context";  // of another image or stage: its layers, which say what is in it
    if (const std::string* source = source_of(statement)) {
        const std::string& name = *source;
        const size_t self = size_t(std::ranges::find_if(stages_, [&](auto& each) {
                                       return &each.second == &stage;
                                   })->first);
        if (!plans_[self].name.empty() && lower(name) == plans_[self].name)
            throw Error("circular dependency detected on stage: ", name);
        std::vector<Digest> layers;
        if (const auto index = stage_index(name, self)) {
            layers = stages_.at(*index).diff_ids;
        } else {
            const Image image = load_image(name);
            Snapshots(store_).unpack(image);
            layers = image.diff_ids();
        }
        source_key = "layers";
        for (const Digest& layer : layers) source_key += " " + layer.text();
        other.emplace(store_, "from");
        image_of_other.emplace(Snapshots(store_),
                               Snapshot{.layers = layers, .target = other->path() + "/root"});
        mounted.emplace(image_of_other->path());
    }
    const IgnoreRules none;
    const Root& root = mounted ? *mounted : context_;
    const IgnoreRules& ignore = mounted ? none : ignore_;

    // Heredocs are files that the Dockerfile itself brings.
    std::vector<std::string> sources;
    std::vector<const Heredoc*> inlined;
    std::vector<std::string> shown;  // the heredocs come last
    for (const std::string& source : all) {
        const auto heredoc = std::ranges::find_if(statement.heredocs, [&](const Heredoc& each) {
            return source == "<<" + each.name || source == "<<-" + each.name;
        });
        if (heredoc != statement.heredocs.end()) {
            inlined.push_back(&*heredoc);
            continue;
        }
        shown.push_back(source);
        for (std::string& match : context("failed to compute cache key",
                                          [&] { return match_sources(root, source, ignore); }))
            sources.push_back(std::move(match));
    }
    for (const Heredoc* heredoc : inlined) shown.push_back("<<" + heredoc->name);
    std::vector<std::string> inlined_text;
    for (const Heredoc* heredoc : inlined)
        inlined_text.push_back(heredoc->expand ? expand_heredoc(heredoc->content, stage.lookup())
                                               : heredoc->content);
    const std::string chown = statement.flag("chown")
                                  ? expand(*statement.flag("chown"), file_.escape, stage.lookup())
                                  : "";
    const std::string chmod = statement.flag("chmod")
                                  ? expand(*statement.flag("chmod"), file_.escape, stage.lookup())
                                  : "";
    std::optional<unsigned> mode;
    if (!chmod.empty()) {
        mode = parse_number<unsigned>(chmod, 8);
        if (!mode || *mode > 07777)
            throw Error("invalid --chmod ", quoted(chmod), ": expected an octal mode");
    }
    const std::string text =
        str(statement.keyword, " ", chown.empty() ? "" : str("--chown=", chown, " "),
            chmod.empty() ? "" : str("--chmod=", chmod, " "), join(shown, " "), " ", typed);
    // With --link it is a layer of its own, which is good on whatever lies below.
    const Stage nothing;
    const Stage& on = is_set(statement, "link") ? nothing : stage;
    // The layers of another image say what is in it; the context has to be read.
    const auto key_of = [&](const std::string& content) {
        std::vector<std::string> fields = {text, destination, source_key, str(sources.size()),
                                           str(inlined.size())};
        fields.insert(fields.end(), sources.begin(), sources.end());
        for (size_t i = 0; i < inlined.size(); ++i)
            fields.push_back(inlined[i]->name), fields.push_back(inlined_text[i]);
        fields.push_back(content);
        return on.key_of(fields);
    };
    const bool from_context = !mounted && !sources.empty();
    const std::string key =
        key_of(from_context ? hash_sources(root, ignore, is_add, sources).text() : "");
    layer_step(stage, on, key, text + " # buildkit", [&](const std::string& work) {
        const Mounted rootfs = mount_stage(on, work);
        const Root to(rootfs.path());
        std::optional<CopyOwner> owner;
        if (!mounted) owner = CopyOwner{};  // what another image has keeps its owner
        if (!chown.empty()) owner = owner_of(to, chown);
        std::optional<Digest> copied;
        if (!sources.empty())
            copied = copy_sources({.from = root,
                                   .to = to,
                                   .ignore = ignore,
                                   .owner = owner,
                                   .chown = !chown.empty(),
                                   .mode = mode,
                                   .extract = is_add,
                                   .hash = from_context,
                                   .scratch = work},
                                  sources,
                                  all.size() > 1 && !destination.ends_with('/') ? destination + "/"
                                                                                : destination);
        for (size_t i = 0; i < inlined.size(); ++i) {
            const bool directory = destination.ends_with('/') || all.size() > 1;
            const Root::Place place =
                to.make_place(directory ? destination + "/" + inlined[i]->name : destination);
            ::unlinkat(place.parent.get(), place.name.c_str(), 0);
            const UniqueFd file = sys::openat(place.parent.get(), place.name,
                                              O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
            sys::write_all(file.get(), inlined_text[i]);
            const CopyOwner of = owner.value_or(CopyOwner{});
            check(::fchown(file.get(), of.uid, of.gid), "chown");
            check(::fchmod(file.get(), mode.value_or(0644)), "chmod");
        }
        return key_of(copied ? copied->text() : "");
    });
}

void Build::workdir(Stage& stage, const Statement& statement) {
    const std::string value = expand(statement.rest, file_.escape, stage.lookup());
    if (value.empty()) throw Error("WORKDIR requires a directory");
    std::string& current = stage.config.config.working_dir;
    std::string next = "/" + clean_path(value.starts_with('/') ? value : current + "/" + value);
    begin("WORKDIR " + next);
    if (next == "/") {  // is there: no layer
        current = next;
        stage.add_history("WORKDIR /", true, now());
        return done("");
    }
    if (value.starts_with('/') && value.ends_with('/')) next += "/";  // stays, as typed
    const std::string key =
        stage.key_of({"WORKDIR", next, stage.config.config.user.text()});  // who it is made for
    layer_step(stage, stage, key, "WORKDIR " + next, [&](const std::string& work) {
        const Mounted rootfs = mount_stage(stage, work);
        const Root root(rootfs.path());
        const ResolvedUser user = resolve_user(root, stage.config.config.user);
        std::string level;
        for (const std::string& part : split(clean_path(next), '/')) {
            level += "/" + part;
            if (root.open_if_exists(level, O_PATH | O_DIRECTORY)) continue;
            const UniqueFd made = root.make_directories(level, 0755);
            check(::fchownat(made.get(), "", user.uid, user.gid, AT_EMPTY_PATH), "chown ", level);
        }
        return key;
    });
    current = next;
}

void Build::metadata(Stage& stage, const Statement& statement) {
    const std::string created_by = statement.keyword == "ARG"
                                       ? arg(stage, statement)
                                       : apply_metadata(stage, statement, file_.escape).value();
    if (statement.keyword == "ONBUILD")
        return;  // for whoever builds on the image: no step of this one
    stage.add_history(created_by, true, now());
}

std::string Build::arg(Stage& stage, const Statement& statement) {
    std::string shown = "ARG";
    for (const std::string& word : raw_words(statement.rest, file_.escape)) {
        const size_t equals = word.find('=');
        const std::string name = expand(word.substr(0, equals), file_.escape, stage.lookup());
        if (name.empty()) throw Error("ARG names can not be blank");
        std::optional<std::string> fallback;
        if (equals != std::string::npos)
            fallback = expand(word.substr(equals + 1), file_.escape, stage.lookup());
        else if (const auto at = global_args_.find(name); at != global_args_.end())
            fallback = at->second;
        const std::optional<std::string> value = arg_value(name, fallback);
        stage.set_arg(name, value);
        shown += str(" ", name, value ? "=" + *value : "");
    }
    return shown;
}

Image Build::finish(Stage& stage) {
    for (const auto& [name, value] : options_.build_args)
        if (!used_args_.contains(name) && !is_predefined(name))
            log_warning("one or more build-args were not consumed: [" + name + "]");
    for (const auto& [key, value] : options_.labels) stage.config.config.labels[key] = value;
    // The same steps give the same image: its time is that of its newest layer.
    std::string newest = "1970-01-01T00:00:00Z";
    for (const spec::History& entry : stage.config.history)
        if (!entry.empty_layer && entry.created > newest) newest = entry.created;
    for (spec::History& entry : stage.config.history)
        if (entry.empty_layer && entry.comment == "buildkit.dockerfile.v0") entry.created = newest;
    stage.config.created = newest;
    spec::Manifest manifest;
    manifest.media_type = spec::media::manifest;
    manifest.layers = stage.layers;

    manifest.config = store_.put_blob(spec::write(stage.config), spec::media::config);
    const spec::Descriptor descriptor =
        store_.put_blob(spec::write(manifest), spec::media::manifest);
    if (options_.tags.empty()) store_.tag(descriptor, std::nullopt);
    for (const std::string& tag : options_.tags) store_.tag(descriptor, parse_reference(tag));
    Image image = store_.load(descriptor);
    say(str("writing image ", image.id().text(), " done"));
    for (const std::string& tag : options_.tags)
        say("naming to " + parse_reference(tag).canonical() + " done");
    return image;
}

}  // namespace

Image build(const Store& store, const BuildOptions& options) {
    // Nothing of what is built may be collected before it has a name.
    const Lease use = store.use();
    return Build(store, options).run();
}
