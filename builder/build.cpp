// A build is: parse, check every statement, find the stages that the target needs, then take each stage's
// statements in order. Everything that can be known before the first step is checked before it; nothing
// gets a name unless all of it was built. A step that makes a layer is looked up in the cache by the
// chain of all that led to it.

#include "builder/build.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "base/defer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/sys.h"
#include "builder/context.h"
#include "builder/copy.h"
#include "builder/dockerfile.h"
#include "builder/instructions.h"
#include "builder/run.h"
#include "builder/stage.h"
#include "builder/words.h"
#include "image/apply.h"
#include "image/bundle.h"
#include "image/registry.h"

namespace {

constexpr const char* default_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct StagePlan {
    std::string name, base;                 // base is expanded
    std::vector<const Statement*> steps;    // FROM first
};

// Arguments that need no ARG instruction (the reference's list).
bool is_predefined(std::string_view name) {
    static constexpr std::string_view known[] = {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
                                                 "ftp_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"};
    return std::ranges::find(known, name) != std::end(known);
}

std::string display_name(const std::string& keyword, const std::string& rest) {
    std::string text = keyword + " " + rest;
    std::ranges::replace(text, '\n', ' ');
    return text.size() > 100 ? text.substr(0, 97) + "..." : text;
}

class Build {
public:
    Build(const Store& store, const BuildOptions& options) : store_(store), options_(options), context_(options.context) {}

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
    void check_tags();
    void plan_stages();
    size_t find_target() const;
    std::set<size_t> needed_stages(size_t target) const;
    void count_steps(const std::set<size_t>& needed);
    void build_stage(size_t index);
    void from(Stage& stage, const StagePlan& plan, size_t index);
    void step(Stage& stage, const Statement& statement);
    Image finish(Stage& stage);

    void run_instruction(Stage& stage, const Statement& statement);
    void copy_instruction(Stage& stage, const Statement& statement);
    void workdir(Stage& stage, const Statement& statement);
    void metadata(Stage& stage, const Statement& statement);

    Lookup lookup(const Stage& stage) const;
    std::vector<std::string> words(const Stage& stage, const Statement& statement) const;
    std::vector<std::string> shell(const Stage& stage) const;
    std::string arg_value(const std::string& name, const std::optional<std::string>& fallback) const;
    std::vector<std::pair<std::string, std::string>> pairs(const Stage& stage, const Statement& statement) const;
    Image load_image(const std::string& name);
    std::optional<size_t> stage_index(const std::string& name, size_t before) const;

    void layer_step(Stage& stage, const std::string& key, const std::string& created_by, const std::function<void(const std::string& work)>& make);
    std::string now() const { return rfc3339_now(); }
    void say(const std::string& line) const;
    void begin(const std::string& what);
    void done(const std::string& note);

    const Store& store_;
    const BuildOptions& options_;
    Root context_;
    IgnoreRules ignore_;
    std::string file_name_;
    Dockerfile file_;
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

void Build::read_dockerfile() {
    std::string text;
    if (options_.dockerfile == "-") {
        file_name_ = "Dockerfile";
        text = sys::read_all(0, 16 << 20);
    } else {
        const std::string path = options_.dockerfile.empty() ? options_.context + "/Dockerfile" : options_.dockerfile;
        file_name_ = path.substr(path.find_last_of('/') + 1);
        const auto there = read_file_if_exists(path, 16 << 20);
        if (!there) throw Error("failed to read dockerfile: open ", path, ": no such file or directory");
        text = *there;
    }
    file_ = parse_dockerfile(text, file_name_);
    check_statements(file_, file_name_);
    const auto own = context_.open_if_exists(file_name_ + ".dockerignore", O_RDONLY);
    const auto shared = own ? std::nullopt : context_.open_if_exists(".dockerignore", O_RDONLY);
    if (own || shared) ignore_ = IgnoreRules(sys::read_all((own ? *own : *shared).get(), 1 << 20));
}

void Build::check_tags() {
    for (const std::string& tag : options_.tags) {
        if (tag.contains('@')) throw Error("invalid tag ", quoted(tag), ": a tag cannot have a digest");
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
             {"TARGETPLATFORM", host_platform()}, {"BUILDPLATFORM", host_platform()}, {"TARGETOS", "linux"}, {"BUILDOS", "linux"},
             {"TARGETARCH", architecture}, {"BUILDARCH", architecture}, {"TARGETVARIANT", ""}, {"BUILDVARIANT", ""}})
        global_args_[key] = value;
    for (const Statement& statement : file_.statements) {
        context(str(file_name_, ":", statement.line), [&] {
            if (statement.keyword == "ARG" && plans_.empty()) {
                for (const std::string& word : raw_words(statement.rest, file_.escape)) {
                    const size_t equals = word.find('=');
                    const std::string name = word.substr(0, equals);
                    std::optional<std::string> fallback;
                    if (equals != std::string::npos) fallback = expand(word.substr(equals + 1), file_.escape, global);
                    if (const std::string value = arg_value(name, fallback); fallback || options_.build_args.contains(name)) global_args_[name] = value;
                    used_args_.insert(name);
                }
            } else if (statement.keyword == "FROM") {
                const std::vector<std::string> parts = expand_words(statement.rest, file_.escape, global);
                if (parts.size() != 1 && !(parts.size() == 3 && lower(parts[1]) == "as"))
                    throw Error("FROM requires either one or three arguments");
                StagePlan plan;
                plan.base = parts[0];
                plan.name = parts.size() == 3 ? lower(parts[2]) : "";
                if (const std::string* platform = statement.flag("platform"))
                    if (const std::string wanted = expand(*platform, file_.escape, global); !wanted.empty() && wanted != host_platform())
                        throw Error("FROM --platform=", wanted, " is not supported yet: this machine is ", host_platform());
                plans_.push_back(plan);
                plans_.back().steps.push_back(&statement);
            } else if (plans_.empty()) {
                throw Error("no build stage in current context: the first instruction must be FROM, but is ", statement.keyword);
            } else {
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
        if (const auto base = stage_index(plans_[index].base, index); base && !parse_number<size_t>(plans_[index].base)) open.push_back(*base);
        for (const Statement* statement : plans_[index].steps)
            if (const std::string* source = statement->flag("from"))
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
            if (statement->keyword == "FROM") from(stage, plan, index);
            else step(stage, *statement);
        });
}

Image Build::load_image(const std::string& name) {
    const Reference reference = context("invalid base image " + quoted(name), [&] { return parse_reference(name); });
    if (!options_.pull)
        if (const auto found = store_.find(name)) return store_.load(found->descriptor);
    return pull(store_, reference, {.platform = {}, .quiet = options_.quiet});
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
        stage.config.config.env = {str("PATH=", default_path)};
        stage.key = stage.next_key("scratch");
    } else {
        const Image image = load_image(plan.base);
        Snapshots(store_).unpack(image);
        stage.config = image.config;
        stage.layers = image.manifest.layers;
        stage.diff_ids = image.diff_ids();
        stage.key = stage.next_key("image " + image.id().text());
        bool has_path = false;
        stage.env("PATH", has_path);
        if (!has_path) stage.set_env("PATH", default_path);
        if (!stage.config.config.on_build.empty()) throw Error("the base image ", plan.base, " has ONBUILD triggers, which are not supported yet");
    }
    stage.config.created.clear();
    done("");
}

std::string Build::arg_value(const std::string& name, const std::optional<std::string>& fallback) const {
    const auto given = options_.build_args.find(name);
    if (given == options_.build_args.end()) return fallback.value_or("");
    if (given->second) return *given->second;
    const char* value = ::getenv(name.c_str());
    return value ? value : fallback.value_or("");
}

Lookup Build::lookup(const Stage& stage) const {
    return [&stage](const std::string& name) -> std::optional<std::string> {
        bool found = false;
        const std::string value = stage.env(name, found);
        if (found) return value;
        const auto at = stage.args.find(name);
        if (at == stage.args.end()) return {};
        return at->second;
    };
}

std::vector<std::string> Build::words(const Stage& stage, const Statement& statement) const {
    if (!statement.is_json) return expand_words(statement.rest, file_.escape, lookup(stage));
    std::vector<std::string> out;
    for (const std::string& word : statement.json) out.push_back(expand(word, file_.escape, lookup(stage)));
    return out;
}

std::vector<std::string> Build::shell(const Stage& stage) const {
    return stage.config.config.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : stage.config.config.shell;
}

void Build::step(Stage& stage, const Statement& statement) {
    if (statement.keyword == "RUN") return run_instruction(stage, statement);
    if (statement.keyword == "COPY" || statement.keyword == "ADD") return copy_instruction(stage, statement);
    if (statement.keyword == "WORKDIR") return workdir(stage, statement);
    metadata(stage, statement);
}

// A step that makes a layer: from the cache, or made now in a work directory whose upper/ becomes it.
void Build::layer_step(Stage& stage, const std::string& key, const std::string& created_by, const std::function<void(const std::string& work)>& make) {
    std::optional<CachedLayer> layer = options_.no_cache ? std::nullopt : find_cached(store_, key, stage.diff_ids);
    const bool cached = layer.has_value();
    if (!layer) {
        const WorkDir work = store_.work_dir("build");
        make(work.path());
        sys::make_directories(work.path() + "/upper", 0755);
        const Snapshots::NewLayer made = Snapshots(store_).commit(work.path() + "/upper", stage.diff_ids);
        layer = CachedLayer{.blob = made.blob, .diff_id = made.diff_id, .empty = made.empty, .created = now()};
        remember(store_, key, *layer);
    }
    stage.layers.push_back(layer->blob);
    stage.diff_ids.push_back(layer->diff_id);
    stage.config.rootfs.diff_ids.push_back(layer->diff_id.text());
    stage.add_history(created_by, false, layer->created);
    stage.key = key;
    done(cached ? "CACHED" : "");
}

void Build::run_instruction(Stage& stage, const Statement& statement) {
    std::string command = statement.rest;
    RunStep run{.args = {}, .env = stage.config.config.env, .network = options_.network == "default" ? "host" : options_.network, .label = {}};
    if (const std::string* network = statement.flag("network")) {
        if (*network != "host" && *network != "none" && *network != "default") throw Error("invalid network mode ", quoted(*network), " for RUN");
        run.network = *network == "default" ? run.network : *network;
    }
    if (!statement.heredocs.empty()) {
        // "RUN <<EOF" alone: the text is the script; otherwise the shell reads the heredocs itself.
        const bool alone = statement.heredocs.size() == 1 && trim(statement.rest).find_first_of(" \t") == std::string_view::npos;
        if (alone) command = statement.heredocs[0].content;
        else
            for (const Heredoc& heredoc : statement.heredocs) command += "\n" + heredoc.content + heredoc.name;
        if (alone && command.starts_with("#!")) throw Error("a heredoc with an interpreter line is not supported yet");
    }
    std::string created_by = "RUN ";
    std::string args_text;
    for (const auto& [name, value] : stage.args) {
        bool in_env = false;
        stage.env(name, in_env);
        if (in_env) continue;
        run.env.push_back(name + "=" + value);
        args_text += str(args_text.empty() ? "" : " ", name, "=", value);
    }
    if (!args_text.empty()) created_by += str("|", stage.args.size(), " ", args_text, " ");
    if (statement.is_json) {
        run.args = statement.json;
        run.label = join(run.args, " ");
    } else {
        run.args = shell(stage);
        run.args.push_back(command);
        run.label = join(run.args, " ");
    }
    created_by += run.label + " # buildkit";
    if (run.args.empty()) throw Error("RUN requires at least one argument");
    begin(display_name("RUN", command));
    const std::string key = stage.next_key(str("RUN\n", json::dump(json::write(run.args)), json::dump(json::write(run.env)), stage.config.config.user, "\n",
                                               stage.config.config.working_dir, "\n", run.network));
    layer_step(stage, key, created_by, [&](const std::string& work) {
        run_step(store_, stage, run, work, [&](std::string_view line) { say(str("#", step_, " ", line)); });
    });
}

void Build::copy_instruction(Stage& stage, const Statement& statement) {
    std::vector<std::string> all = words(stage, statement);
    if (all.size() < 2) throw Error(statement.keyword, " requires at least two arguments, but only one was provided: a source and a destination");
    std::string destination = all.back();
    all.pop_back();
    if (!destination.starts_with('/')) destination = str(stage.config.config.working_dir.empty() ? "/" : stage.config.config.working_dir + "/", destination);
    const bool is_add = statement.keyword == "ADD";
    for (const std::string& source : all)
        if (is_add && (source.starts_with("http://") || source.starts_with("https://") || source.starts_with("git@") || source.ends_with(".git")))
            throw Error("ADD of ", quoted(source), ": remote sources are not supported yet");
    begin(display_name(statement.keyword, statement.rest));

    // Where from: the context, an earlier stage, an image.
    std::optional<WorkDir> other;
    std::optional<Root> mounted;
    std::string source_key = "context";
    std::string target_of_mount;
    const Defer unmounted([&] { if (!target_of_mount.empty()) attempt("unmounting a source", [&] { Snapshots::unmount(target_of_mount); }); });
    if (const std::string* source = statement.flag("from")) {
        const std::string name = expand(*source, file_.escape, lookup(stage));
        const size_t self = size_t(std::ranges::find_if(stages_, [&](auto& each) { return &each.second == &stage; })->first);
        std::vector<Digest> layers;
        if (const auto index = stage_index(name, self)) {
            layers = stages_.at(*index).diff_ids;
            source_key = "stage " + stages_.at(*index).key;
        } else {
            const Image image = load_image(name);
            Snapshots(store_).unpack(image);
            layers = image.diff_ids();
            source_key = "image " + image.id().text();
        }
        other.emplace(store_.work_dir("from"));
        Snapshots(store_).mount({.layers = layers, .upper = {}, .work = {}, .target = other->path() + "/root"}, false);
        target_of_mount = other->path() + "/root";
        mounted.emplace(target_of_mount);
    }
    const IgnoreRules none;
    const Root& root = mounted ? *mounted : context_;
    const IgnoreRules& ignore = mounted ? none : ignore_;

    // Heredocs are files that the Dockerfile itself brings.
    std::vector<std::string> sources;
    std::vector<const Heredoc*> inlined;
    for (const std::string& source : all) {
        const auto heredoc = std::ranges::find_if(statement.heredocs, [&](const Heredoc& each) {
            return source == "<<" + each.name || source == "<<-" + each.name;
        });
        if (heredoc != statement.heredocs.end()) {
            inlined.push_back(&*heredoc);
            continue;
        }
        for (std::string& match : context("failed to compute cache key", [&] { return match_sources(root, source, ignore); })) sources.push_back(std::move(match));
    }
    Hasher content;
    content.update(source_key);
    std::vector<std::string> inlined_text;
    for (const Heredoc* heredoc : inlined) {
        inlined_text.push_back(heredoc->expand ? expand(heredoc->content, file_.escape, lookup(stage)) : heredoc->content);
        content.update(inlined_text.back());
    }
    // A stage's key says what is in it; the context has to be read.
    if (!mounted)
        for (const std::string& source : sources) hash_tree(content, root, source, ignore);
    const std::string chown = statement.flag("chown") ? expand(*statement.flag("chown"), file_.escape, lookup(stage)) : "";
    const std::string chmod = statement.flag("chmod") ? expand(*statement.flag("chmod"), file_.escape, lookup(stage)) : "";
    std::optional<unsigned> mode;
    if (!chmod.empty()) {
        mode = parse_number<unsigned>(chmod, 8);
        if (!mode || *mode > 07777) throw Error("invalid --chmod ", quoted(chmod), ": expected an octal mode");
    }
    const std::string text = str(statement.keyword, " ", chown.empty() ? "" : str("--chown=", chown, " "), chmod.empty() ? "" : str("--chmod=", chmod, " "), join(all, " "), " ", destination);
    const std::string key = stage.next_key(str(text, "\n", join(sources, "\n"), "\n", content.finish().text()));
    layer_step(stage, key, text + " # buildkit", [&](const std::string& work) {
        const Snapshot snapshot{.layers = stage.diff_ids, .upper = work + "/upper", .work = work + "/work", .target = work + "/rootfs"};
        Snapshots(store_).mount(snapshot, true);
        const Defer gone([&] { attempt("unmounting " + snapshot.target, [&] { Snapshots::unmount(snapshot.target); }); });
        const Root to(snapshot.target);
        CopyOwner owner;
        if (!chown.empty()) {
            const ResolvedUser user = resolve_user(to, chown);
            owner = {user.uid, chown.contains(':') ? user.gid : parse_number<uint32_t>(chown) ? user.uid : user.gid};
        }
        if (!sources.empty())
            copy_sources({.from = root, .to = to, .ignore = ignore, .owner = owner, .mode = mode, .extract = is_add},
                         sources, all.size() > 1 && !destination.ends_with('/') ? destination + "/" : destination);
        for (size_t i = 0; i < inlined.size(); ++i) {
            const bool directory = destination.ends_with('/') || all.size() > 1;
            const Root::Place place = to.make_place(directory ? destination + "/" + inlined[i]->name : destination);
            ::unlinkat(place.parent.get(), place.name.c_str(), 0);
            const UniqueFd file = sys::openat(place.parent.get(), place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
            sys::write_all(file.get(), inlined_text[i]);
            check(::fchown(file.get(), owner.uid, owner.gid), "chown");
            check(::fchmod(file.get(), mode.value_or(0644)), "chmod");
        }
    });
}

void Build::workdir(Stage& stage, const Statement& statement) {
    const std::string value = expand(statement.rest, file_.escape, lookup(stage));
    if (value.empty()) throw Error("WORKDIR requires a directory");
    std::string& current = stage.config.config.working_dir;
    const std::string next = "/" + clean_path(value.starts_with('/') ? value : current + "/" + value);
    begin("WORKDIR " + next);
    const std::string key = stage.next_key("WORKDIR " + next);
    layer_step(stage, key, "WORKDIR " + next, [&](const std::string& work) {
        const Snapshot snapshot{.layers = stage.diff_ids, .upper = work + "/upper", .work = work + "/work", .target = work + "/rootfs"};
        Snapshots(store_).mount(snapshot, true);
        const Defer gone([&] { attempt("unmounting " + snapshot.target, [&] { Snapshots::unmount(snapshot.target); }); });
        Root(snapshot.target).make_directories(next, 0755);
    });
    current = next;
}

// NAME=VALUE …, or the old form NAME VALUE.
std::vector<std::pair<std::string, std::string>> Build::pairs(const Stage& stage, const Statement& statement) const {
    std::vector<std::pair<std::string, std::string>> out;
    const std::vector<std::string> raw = raw_words(statement.rest, file_.escape);
    if (!raw.empty() && !raw[0].contains('=')) {
        if (raw.size() < 2) throw Error(statement.keyword, " must have two arguments");
        const std::string_view rest = trim(std::string_view(statement.rest).substr(raw[0].size()));
        return {{expand(raw[0], file_.escape, lookup(stage)), expand(rest, file_.escape, lookup(stage))}};
    }
    for (const std::string& word : raw) {
        const size_t equals = word.find('=');
        if (equals == std::string::npos) throw Error("can't find = in ", quoted(word), ": must be of the form: name=value");
        const std::string name = expand(word.substr(0, equals), file_.escape, lookup(stage));
        if (name.empty()) throw Error(statement.keyword, " names can not be blank");
        out.emplace_back(name, expand(word.substr(equals + 1), file_.escape, lookup(stage)));
    }
    return out;
}

long long parse_duration(const std::string& text) {
    long long total = 0;
    for (size_t at = 0; at < text.size();) {
        size_t end = at;
        while (end < text.size() && (std::isdigit(static_cast<unsigned char>(text[end])) || text[end] == '.')) ++end;
        const double number = std::strtod(text.substr(at, end - at).c_str(), nullptr);
        size_t unit_end = end;
        while (unit_end < text.size() && std::isalpha(static_cast<unsigned char>(text[unit_end]))) ++unit_end;
        const std::string unit = text.substr(end, unit_end - end);
        const double scale = unit == "ns" ? 1 : unit == "us" ? 1e3 : unit == "ms" ? 1e6 : unit == "s" ? 1e9 : unit == "m" ? 6e10 : unit == "h" ? 3.6e12 : 0;
        if (end == at || scale == 0) throw Error("invalid duration ", quoted(text));
        total += static_cast<long long>(number * scale);
        at = unit_end;
    }
    return total;
}

void healthcheck(spec::ContainerConfig& config, const Statement& statement) {
    const size_t blank = statement.rest.find_first_of(" \t");
    const std::string type = upper(statement.rest.substr(0, blank));
    spec::HealthCheck check;
    if (type == "NONE") {
        check.test = {"NONE"};
    } else if (type == "CMD" && blank != std::string::npos) {
        const std::string command(trim(std::string_view(statement.rest).substr(blank)));
        check.test = {"CMD-SHELL", command};
        if (command.starts_with('['))
            try {
                check.test = json::read<std::vector<std::string>>(json::parse(command));
                check.test.insert(check.test.begin(), "CMD");
            } catch (const Error&) {  // the shell form
            }
        for (const auto& [flag, value] : statement.flags) {
            if (flag == "retries") {
                const auto number = parse_number<int>(value);
                if (!number || *number < 0) throw Error("--retries must be at least 0, but is ", quoted(value));
                check.retries = *number;
                continue;
            }
            const long long duration = parse_duration(value);
            (flag == "interval" ? check.interval : flag == "timeout" ? check.timeout : flag == "start-period" ? check.start_period : check.start_interval) = duration;
        }
    } else {
        throw Error("unknown type ", quoted(type), " in HEALTHCHECK (try CMD)");
    }
    config.healthcheck = check;
}

void Build::metadata(Stage& stage, const Statement& statement) {
    spec::ContainerConfig& config = stage.config.config;
    const std::string& keyword = statement.keyword;
    std::string created_by = keyword + " " + statement.rest;
    auto command = [&] {
        if (statement.is_json) return statement.json;
        std::vector<std::string> out = shell(stage);
        out.push_back(statement.rest);
        return out;
    };
    if (keyword == "ARG") {
        for (const std::string& word : raw_words(statement.rest, file_.escape)) {
            const size_t equals = word.find('=');
            const std::string name = word.substr(0, equals);
            std::optional<std::string> fallback;
            if (equals != std::string::npos) fallback = expand(word.substr(equals + 1), file_.escape, lookup(stage));
            else if (const auto at = global_args_.find(name); at != global_args_.end()) fallback = at->second;
            used_args_.insert(name);
            if (fallback || options_.build_args.contains(name)) stage.args[name] = arg_value(name, fallback);
        }
    } else if (keyword == "ENV") {
        created_by = "ENV";
        for (const auto& [name, value] : pairs(stage, statement)) {
            stage.set_env(name, value);
            created_by += str(" ", name, "=", value);
        }
    } else if (keyword == "LABEL") {
        created_by = "LABEL";
        for (const auto& [name, value] : pairs(stage, statement)) {
            config.labels[name] = value;
            created_by += str(" ", name, "=", value);
        }
    } else if (keyword == "EXPOSE") {
        for (const std::string& word : words(stage, statement)) {
            const std::string port = word.contains('/') ? word : word + "/tcp";
            const size_t slash = port.find('/');
            const std::string protocol = lower(port.substr(slash + 1));
            const auto number = parse_number<uint16_t>(port.substr(0, port.find_first_of("-/")));
            if (!number || *number == 0 || (protocol != "tcp" && protocol != "udp" && protocol != "sctp"))
                throw Error("invalid containerPort: ", word);
            config.exposed_ports.insert(port.substr(0, slash + 1) + protocol);
        }
        created_by = "EXPOSE map[";
        for (const std::string& port : config.exposed_ports) created_by += str(created_by.ends_with('[') ? "" : " ", port, ":{}");
        created_by += "]";
    } else if (keyword == "CMD") {
        config.cmd = command();
        stage.has_cmd = true;
        created_by = "CMD " + json::dump(json::write(*config.cmd));
    } else if (keyword == "ENTRYPOINT") {
        config.entrypoint = command();
        // A base image's CMD was for its own entry point.
        if (!stage.has_cmd) config.cmd.reset();
        created_by = "ENTRYPOINT " + json::dump(json::write(*config.entrypoint));
    } else if (keyword == "SHELL") {
        if (!statement.is_json) throw Error("SHELL requires the arguments to be in JSON form");
        config.shell = statement.json;
    } else if (keyword == "USER") {
        config.user = expand(statement.rest, file_.escape, lookup(stage));
        created_by = "USER " + config.user;
    } else if (keyword == "STOPSIGNAL") {
        config.stop_signal = expand(statement.rest, file_.escape, lookup(stage));
        created_by = "STOPSIGNAL " + config.stop_signal;
    } else if (keyword == "VOLUME") {
        for (const std::string& path : words(stage, statement)) config.volumes.insert(path);
        created_by = str("VOLUME [", join({config.volumes.begin(), config.volumes.end()}, " "), "]");
    } else if (keyword == "MAINTAINER") {
        stage.config.author = statement.rest;
    } else if (keyword == "HEALTHCHECK") {
        healthcheck(config, statement);
    } else if (keyword == "ONBUILD") {
        config.on_build.push_back(statement.rest);
    } else {
        throw Error("unknown instruction: ", keyword);
    }
    stage.key = stage.next_key(created_by);
    stage.add_history(created_by, true, now());
}

Image Build::finish(Stage& stage) {
    for (const auto& [name, value] : options_.build_args)
        if (!used_args_.contains(name) && !is_predefined(name)) log_warning("one or more build-args were not consumed: [" + name + "]");
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
    spec::Descriptor descriptor = store_.put_blob(spec::write(manifest), spec::media::manifest);
    descriptor.platform = spec::Platform{.architecture = stage.config.architecture, .os = stage.config.os};
    if (options_.tags.empty()) store_.tag(descriptor, std::nullopt);
    for (const std::string& tag : options_.tags) store_.tag(descriptor, parse_reference(tag));
    Image image = store_.load(descriptor);
    say(str("writing image ", image.id().text(), " done"));
    for (const std::string& tag : options_.tags) say("naming to " + parse_reference(tag).canonical() + " done");
    return image;
}

}  // namespace

Image build(const Store& store, const BuildOptions& options) {
    // Nothing of what is built may be collected before it has a name.
    const FileLock use = store.use();
    return Build(store, options).run();
}
