// What is hard: a step's key is what it finds, so it cannot be known before the steps that it needs
// are done; and most builds find everything made already. So the graph is gone through once by this
// thread, which only looks; what it could not find is made by threads, of which each takes a step
// whose needs are there. A guard and a network cost processes, and those are cloned before there
// are threads, only if something is to be made.
//
// The first error ends it: no new step is begun, and commands that run are killed, so that nobody
// waits for the end of a compiler before he reads what was wrong.
#include "builder/solve.h"

#include <sys/mount.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/defer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/sys.h"
#include "builder/build_network.h"
#include "builder/key.h"
#include "builder/steps/add.h"
#include "builder/steps/copy.h"
#include "builder/steps/file_digests.h"
#include "builder/steps/pick.h"
#include "builder/steps/run.h"
#include "builder/steps/run_mounts.h"
#include "builder/trees.h"
#include "builder/workplace.h"
#include "container/identity.h"
#include "image/build_cache.h"
#include "image/bundle.h"
#include "image/layer/rules.h"
#include "image/overlay.h"
#include "image/platform.h"
#include "image/snapshots.h"
#include "runtime/client.h"

namespace {

constexpr size_t least_threads = 2, most_threads = 16;

// --chown's, with names looked up in that root. Numbers need no passwd, and are the kernel's to
// their last but one: 4294967295 would mean "as it was".
CopyLooks::Owner owner_of(const Root& root, const std::string& typed) {
    const spec::UserName who(typed);
    const auto number = [&](const std::string& text) {
        const auto id = parse_number<uint32_t>(text);
        if (id == UINT32_MAX)
            throw Error("invalid --chown ", quoted(typed), ": ids must be in range 0-4294967294");
        return id;
    };
    const auto uid = number(who.user()), gid = number(who.group());
    CopyLooks::Owner owner;
    owner.uid = uid ? *uid : resolve_user(root, who.user()).uid;
    if (gid)
        owner.gid = *gid;
    else if (!who.group().empty())
        owner.gid = resolve_user(root, "0:" + who.group()).gid;
    else
        owner.gid = uid ? *uid : resolve_user(root, who.user()).gid;
    return owner;
}

bool has_names(const spec::UserName& who) {
    const auto is_name = [](const std::string& text) {
        return !text.empty() && !parse_number<uint32_t>(text);
    };
    return is_name(who.user()) || is_name(who.group());
}

// A command for another machine is run by what binfmt_misc has for its files.
void require_emulator(const std::string& platform) {
    static constexpr std::pair<std::string_view, std::string_view> names[] = {
        {"amd64", "x86_64"}, {"arm64", "aarch64"}, {"386", "i386"}, {"loong64", "loongarch64"}};
    const std::string wanted = parse_platform(platform).architecture, own = host_architecture();
    if (wanted == own || (wanted == "386" && own == "amd64")) return;
    std::string entry = "/proc/sys/fs/binfmt_misc/qemu-" + wanted;
    for (const auto& [architecture, name] : names)
        if (wanted == architecture) entry = str("/proc/sys/fs/binfmt_misc/qemu-", name);
    if (!sys::exists(entry))
        throw Error("RUN for ", platform, " on ", host_platform(),
                    " needs an emulator, and none is registered: there is no ", entry);
}

class Solver {
public:
    explicit Solver(const SolveInput& input)
        : in_(input), snapshots_(input.store), cache_(input.store), network_(input.store.root()),
          trees_(snapshots_), digests_(input.digests), nodes_(input.graph.steps.size()) {}

    Solved solve() {
        for (size_t i = 0; i < nodes_.size(); ++i)
            if (is_ready(i)) in_place(i, [&] { look_up(i); });
        if (!std::ranges::all_of(nodes_, &Node::is_done)) {
            prepare();
            make_all();
            // What the workplace has is not needed any more: only then are its locks released.
        }
        digests_.save();
        return {.tree = stack(in_.graph.image.tree), .made = made_};
    }

private:
    struct Node {
        std::optional<Stack> result;
        std::optional<std::vector<Pick>> picks;  // of a COPY from a context
        bool is_taken = false;                   // a thread has it
        bool is_done() const { return result.has_value(); }
    };

    const Step& step(size_t i) const { return in_.graph.steps[i]; }

    // An error of a step names its place.
    void in_place(size_t i, const auto& action) { context(step(i).where, action); }

    // --- what a step needs

    // Of what a step needs, once that is done: then nobody changes it.
    Stack stack(const TreeRef& tree) const {
        using enum TreeRef::Kind;
        if (tree.kind == image) return Stack(in_.images[tree.index]);
        if (tree.kind == TreeRef::Kind::step) return nodes_[tree.index].result.value();
        return {};
    }

    bool is_there(const TreeRef& tree) const {
        return tree.kind != TreeRef::Kind::step || nodes_[tree.index].is_done();
    }

    bool is_ready(size_t i) const {
        if (!is_there(step(i).below)) return false;
        if (const auto* const copy = std::get_if<CopyFiles>(&step(i).what))
            return is_there(copy->from);
        const auto* const run = std::get_if<RunCommand>(&step(i).what);
        return !run || std::ranges::all_of(run->mounts, [&](const PlannedMount& each) {
            return is_there(each.from);
        });
    }

    // --- keys

    std::vector<std::string> fields(size_t i, const MakeDirectory& what) const {
        return {"WORKDIR", what.path, what.owner.text(), str(step(i).latest)};
    }

    std::vector<std::string> fields(size_t i, const RunCommand& what) {
        std::vector<std::string> out = {"RUN",
                                        str(what.args.size()),
                                        str(what.env.size()),
                                        str(what.scripts.size()),
                                        str(what.mounts.size()),
                                        what.user.text(),
                                        what.directory,
                                        what.network,
                                        what.insecure ? "insecure" : "",
                                        in_.options.seccomp,
                                        str(step(i).latest)};
        out.insert(out.end(), what.args.begin(), what.args.end());
        out.insert(out.end(), what.env.begin(), what.env.end());
        for (const InlineFile& script : what.scripts)
            out.push_back(script.name), out.push_back(script.content);
        for (const PlannedMount& each : what.mounts) add_fields(each, out);
        if (step(i).platform != host_platform()) out.push_back("for " + step(i).platform);
        // Addresses may be others on another day.
        const BuildOptions::OfRuns& runs = in_.options.runs;
        for (const std::string& host : runs.hosts)
            out.push_back("host " + host.substr(0, host.find(':')));
        if (runs.shm_size > 0) out.push_back(str("shm ", runs.shm_size));
        for (const spec::Rlimit& limit : runs.limits)
            out.push_back(str("limit ", limit.type, " ", limit.soft, " ", limit.hard));
        return out;
    }

    // What is in a cache, and a secret's value, is no part of a key: that they are there is.
    void add_fields(const PlannedMount& planned, std::vector<std::string>& out) {
        const RunMount& mount = planned.mount;
        out.insert(out.end(), {std::string(mount_type_name(mount.type)), mount.target,
                               mount.read_only ? "ro" : "rw", mount.env.value_or("")});
        if (mount.type == RunMount::Type::tmpfs) out.push_back(str(mount.size));
        if (mount.type == RunMount::Type::secret || mount.type == RunMount::Type::ssh)
            out.insert(out.end(), {mount.id, str(mount.mode.value_or(0)),
                                   str(mount.uid.value_or(0)), str(mount.gid.value_or(0))});
        if (mount.type != RunMount::Type::bind) return;
        out.push_back(mount.source);
        if (planned.from.kind == TreeRef::Kind::context)
            out.push_back(content_of(pick_mounted(planned).picks, false).text());
        else if (const Stack from = stack(planned.from); !from.diff_ids.empty())
            out.push_back(chain_ids(from.diff_ids).back().text());
    }

    // What a mount needs of a context, at the place where it is there.
    struct MountedPicks {
        CopyFiles copy;
        std::vector<Pick> picks;
    };
    MountedPicks pick_mounted(const PlannedMount& planned) {
        const std::string path = clean_path(planned.mount.source);
        MountedPicks out{.copy = {.keyword = "RUN", .from = planned.from, .sources = {"/" + path}},
                         .picks = {}};
        out.picks = pick(*in_.contexts.at(planned.from.name), out.copy);
        const bool is_file = !out.picks.empty() && out.picks[0].is_named;
        out.copy.destination = is_file || path.empty() ? "/" + path : "/" + path + "/";
        return out;
    }

    std::vector<std::string> fields(size_t i, const CopyFiles& what, const Digest& content) const {
        std::vector<std::string> out = {"COPY",
                                        what.destination,
                                        what.chown,
                                        what.chmod,
                                        str(int(what.unpack)),
                                        what.keeps_owner ? "keeps" : "",
                                        str(step(i).latest),
                                        content.text()};
        for (const InlineFile& file : what.files)
            out.push_back(file.name), out.push_back(file.content);
        return out;
    }

    // What a COPY takes out of layers is known by their ChainID and its words.
    Digest name_of_content(const CopyFiles& what, Layers layers) const {
        std::vector<std::string> out = {"content", what.parents ? "parents" : "",
                                        str(what.sources.size())};
        out.insert(out.end(), what.sources.begin(), what.sources.end());
        out.insert(out.end(), what.excludes.begin(), what.excludes.end());
        return step_key(layers, out);
    }

    // Nothing: it takes a look at files of layers that only a thread may mount.
    std::optional<Digest> content(size_t i, const CopyFiles& what) {
        if (what.from.kind == TreeRef::Kind::context) {
            Node& node = nodes_[i];
            SourceTree& tree = *in_.contexts.at(what.from.name);
            if (!node.picks) node.picks = pick(tree, what);
            return content_of(*node.picks, what.keeps_owner);
        }
        const Stack from = stack(what.from);
        return cache_.find_digest(name_of_content(what, from.diff_ids));
    }

    std::vector<Pick> pick(SourceTree& tree, const CopyFiles& what) {
        return context("failed to compute cache key", [&] {
            std::vector<Pick> picks = pick_files(tree, what);
            const bool is_own = what.from.kind == TreeRef::Kind::context && what.from.name.empty();
            read_digests(tree, picks, is_own ? &digests_ : nullptr);
            return picks;
        });
    }

    std::optional<Digest> key_of(size_t i) {
        const Step& own = step(i);
        const Stack below = stack(own.below);
        if (const auto* what = std::get_if<MakeDirectory>(&own.what))
            return step_key(below.diff_ids, fields(i, *what));
        if (const auto* what = std::get_if<RunCommand>(&own.what))
            return step_key(below.diff_ids, fields(i, *what));
        const CopyFiles& what = std::get<CopyFiles>(own.what);
        const auto found = content(i, what);
        if (!found) return {};
        // With --link it is a layer of its own, which is good on whatever lies below.
        return step_key(what.link ? Layers() : Layers(below.diff_ids), fields(i, what, *found));
    }

    // --- the first round

    void look_up(size_t i) {
        if (step(i).anew) return;
        const auto key = key_of(i);
        if (!key) return;
        if (const auto layer = cache_.find(*key)) {
            in_.report.begin(i);
            done(i, *layer);
            in_.report.end(i, BuildReport::End::cached);
        }
    }

    void done(size_t i, const CachedLayer& layer) {
        Stack result = stack(step(i).below);
        result.layers.push_back(layer.blob);
        result.diff_ids.push_back(layer.diff_id);
        nodes_[i].result = std::move(result);
    }

    // --- the second

    void prepare() {
        work_.emplace(in_.store, "build");
        snapshots_.work_in(work_->directory());
        bool runs = false, wants_network = false;
        for (size_t i = 0; i < nodes_.size(); ++i) {
            const auto* const what = std::get_if<RunCommand>(&step(i).what);
            if (!what || nodes_[i].is_done()) continue;
            if (!may_mount()) in_place(i, [] { throw Error("RUN needs root for now"); });
            runs = true;
            wants_network |= what->network == "default";
        }
        if (runs) keep_state_in_memory();
        if (wants_network) network_path_ = network_.path();
    }

    // The runtime keeps a container's config.json there, in which a secret may be.
    void keep_state_in_memory() const {
        sys::mkdir(state(), 0700);
        sys::mount("keg", state(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700");
    }

    void make_all() {
        const size_t open = size_t(std::ranges::count(nodes_, false, &Node::is_done));
        const size_t cores = std::max<size_t>(std::thread::hardware_concurrency(), least_threads);
        const size_t count = std::min({open, cores, most_threads});
        {
            in_.report.start_clock();
            const Defer stopped([&] { in_.report.stop_clock(); });
            std::vector<std::jthread> threads;
            for (size_t i = 0; i < count; ++i) threads.emplace_back([&] { work(); });
        }
        if (error_) std::rethrow_exception(error_);
    }

    void work() {
        for (;;) {
            const auto taken = take();
            if (!taken) return;
            try {
                in_place(*taken, [&] { make(*taken); });
            } catch (...) {
                fail(*taken, std::current_exception());
            }
            changed_.notify_all();
        }
    }

    // A step whose needs are there; waits for one. Nothing: there is none left.
    std::optional<size_t> take() {
        std::unique_lock lock(mutex_);
        for (;;) {
            if (error_) return {};
            bool all_taken = true;
            for (size_t i = 0; i < nodes_.size(); ++i) {
                if (nodes_[i].is_done() || nodes_[i].is_taken) continue;
                all_taken = false;
                if (!is_ready(i)) continue;
                nodes_[i].is_taken = true;
                return i;
            }
            if (all_taken) return {};
            changed_.wait(lock);
        }
    }

    void fail(size_t i, std::exception_ptr error) {
        std::set<std::string> running;
        {
            const std::lock_guard one_thread(mutex_);
            if (error_) return in_.report.give_up(i);
            error_ = error;
            running = running_;
        }
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& e) {
            in_.report.fail(i, e.what());
        }
        const RuntimeClient runtime(state());
        for (const std::string& id : running)
            attempt("stopping a build container", [&] { runtime.remove(id); });
    }

    std::string state() const { return work_->path() + "/state"; }

    void make(size_t i) {
        in_.report.begin(i);
        const std::string work = str(work_->path(), "/", i);
        sys::mkdir(work, 0700);
        Taken taken = source(i, work);
        std::optional<FileLock> alone;
        std::optional<CachedLayer> layer;
        // Of several builds that want one step, one makes it, and the others wait here.
        if (!step(i).anew) {
            layer = cache_.find(taken.key);
            if (!layer) {
                alone.emplace(cache_.lock(taken.key));
                layer = cache_.find(taken.key);
            }
        }
        const bool was_cached = layer.has_value();
        const Stack below = stack(step(i).below);
        if (!layer) {
            layer = std::visit([&](const auto& what) { return make(i, what, below, taken, work); },
                               step(i).what);
            cache_.remember(taken.key, *layer, taken.on(below));
        }
        taken.mounted.reset();
        sys::remove_tree(work);
        {
            const std::lock_guard one_thread(mutex_);
            made_ += !was_cached;
            done(i, *layer);
        }
        in_.report.end(i, was_cached ? BuildReport::End::cached : BuildReport::End::made);
    }

    // What a step reads, and its key by that.
    struct Taken {
        Digest key;
        bool is_linked = false;
        std::unique_ptr<Mounted> mounted;
        std::shared_ptr<SourceTree> tree;
        std::vector<Pick> picks;
        Layers on(const Stack& below) const { return is_linked ? Layers() : below.diff_ids; }
    };

    class Running;
    Taken source(size_t i, const std::string& work);
    Digest key_of(size_t i, const CopyFiles& what, const Taken& taken, Layers on) const {
        return step_key(on, fields(i, what, content_of(taken.picks, what.keeps_owner)));
    }

    CachedLayer make(size_t i, const MakeDirectory& what, const Stack& below, Taken& taken,
                     const std::string& work);
    CachedLayer make(size_t i, const CopyFiles& what, const Stack& below, Taken& taken,
                     const std::string& work);
    CachedLayer make(size_t i, const RunCommand& what, const Stack& below, Taken& taken,
                     const std::string& work);
    // The layers that a mount is from, ready to be mounted.
    std::vector<Digest> mounted_layers(const PlannedMount& planned);
    CachedLayer add_archives(size_t i, const CopyFiles& what, const Stack& below, Taken& taken,
                             const CopyLooks& look, const std::string& work);
    CachedLayer keep(const Snapshots::NewLayer& layer) const {
        return {.blob = layer.blob, .diff_id = layer.diff_id};
    }
    // The root that a user's name is looked up in.
    CopyLooks::Owner resolve(const spec::UserName& who, const Stack& below,
                             const std::string& work) const;
    CopyLooks looks(size_t i, const CopyFiles& what, const Stack& below,
                    const std::string& work) const;

    const SolveInput& in_;
    Snapshots snapshots_;
    const BuildCache cache_;
    BuildNetwork network_;
    Trees trees_;
    FileDigests digests_;
    std::optional<Workplace> work_;
    std::string network_path_;

    std::mutex mutex_;  // for all below, while there are threads
    std::condition_variable changed_;
    std::vector<Node> nodes_;
    std::set<std::string> running_;
    std::exception_ptr error_;
    size_t made_ = 0;
};

Solver::Taken Solver::source(size_t i, const std::string& work) {
    Taken taken;
    const auto* const what = std::get_if<CopyFiles>(&step(i).what);
    const Stack below = stack(step(i).below);
    if (!what) {
        taken.key = std::visit(
            [&]<class What>(const What& each) {
                if constexpr (std::is_same_v<What, CopyFiles>)
                    return Digest();
                else
                    return step_key(below.diff_ids, fields(i, each));
            },
            step(i).what);
        return taken;
    }
    taken.is_linked = what->link;
    if (what->from.kind == TreeRef::Kind::context) {
        taken.tree = in_.contexts.at(what->from.name);
        if (nodes_[i].picks)
            taken.picks = std::move(*nodes_[i].picks);
        else
            taken.picks = pick(*taken.tree, *what);
    } else {
        const Stack from = stack(what->from);
        snapshots_.unpack(from.image());
        taken.mounted = std::make_unique<Mounted>(
            snapshots_, Snapshot{.layers = from.diff_ids, .target = work + "/from"});
        taken.tree = std::make_shared<SourceTree>(Root(taken.mounted->path()), IgnoreRules());
        taken.picks = pick(*taken.tree, *what);
        cache_.remember_digest(name_of_content(*what, from.diff_ids),
                               content_of(taken.picks, what->keeps_owner), from.diff_ids);
    }
    taken.key = key_of(i, *what, taken, taken.on(below));
    return taken;
}

CopyLooks::Owner Solver::resolve(const spec::UserName& who, const Stack& below,
                                 const std::string& work) const {
    if (!has_names(who)) return owner_of(Root("/"), who.text());
    snapshots_.unpack(below.image());
    const Mounted root(snapshots_, {.layers = below.diff_ids, .target = work + "/names"});
    return owner_of(Root(root.path()), who.text());
}

CopyLooks Solver::looks(size_t i, const CopyFiles& what, const Stack& below,
                        const std::string& work) const {
    CopyLooks looks{.latest = step(i).latest};
    if (!what.chmod.empty()) looks.mode.emplace(what.chmod);
    if (!what.keeps_owner) looks.owner = CopyLooks::Owner{};
    if (what.chown.empty()) return looks;
    const spec::UserName who(what.chown);
    if (what.link && has_names(who))
        throw Error("--link --chown=", what.chown,
                    ": a layer of its own has no passwd to look "
                    "names up in; expected numbers");
    looks.owner = resolve(who, below, work);
    looks.owns_parents = true;
    return looks;
}

CachedLayer Solver::make(size_t i, const MakeDirectory& what, const Stack& below, Taken&,
                         const std::string& work) {
    const CopyLooks looks{.owner = what.owner.empty() ? CopyLooks::Owner{}
                                                      : resolve(what.owner, below, work),
                          .owns_parents = true,
                          .latest = step(i).latest};
    Trees::Lent tree = trees_.of(below);
    return keep(snapshots_.new_layer(
        [&](const LayerSink& sink) { return write_directories(what.path, looks, *tree, sink); }));
}

CachedLayer Solver::make(size_t i, const CopyFiles& what, const Stack& below, Taken& taken,
                         const std::string& work) {
    const CopyLooks look = looks(i, what, below, work);
    if (has_archives(*taken.tree, what, taken.picks))
        return add_archives(i, what, below, taken, look, work);
    Trees::Lent tree = what.link ? trees_.none() : trees_.of(below);
    PlacedCopy placed(taken.picks, what, look, *tree);
    // Another base may have left it the same layer.
    const auto same = [&] {
        std::vector<std::string> all = placed.taken_from_below();
        for (std::string& field : fields(i, what, content_of(taken.picks, what.keeps_owner)))
            all.push_back(std::move(field));
        if (look.owner) all.push_back(str(look.owner->uid, ":", look.owner->gid));
        return step_key({}, all);
    };
    if (const auto known = step(i).anew ? std::nullopt : cache_.find(same())) return *known;
    const CachedLayer layer = keep(snapshots_.new_layer(
        [&](const LayerSink& sink) { return placed.write(*taken.tree, sink); }));
    // Files may have changed since they were looked up: the name is what was written.
    taken.key = key_of(i, what, taken, taken.on(below));
    cache_.remember(same(), layer, {}, "layer");
    return layer;
}

// What is unpacked goes where the links of the image lead: it is unpacked there, and what became of
// it is the layer.
CachedLayer Solver::add_archives(size_t i, const CopyFiles& what, const Stack& below, Taken& taken,
                                 const CopyLooks& look, const std::string& work) {
    const std::string upper = work + "/upper";
    Trees::Lent tree = what.link ? trees_.none() : trees_.of(below);
    const Layers on = taken.on(below);
    snapshots_.unpack(what.link ? Image() : below.image());
    {
        const Mounted root(snapshots_,
                           {.layers = {on.begin(), on.end()},
                            .upper = upper,
                            .work = work + "/work",
                            .target = work + "/rootfs"},
                           true);
        add_unpacked(*taken.tree, taken.picks, what, look, *tree, Root(root.path()), work);
    }
    taken.key = key_of(i, what, taken, on);
    return keep(snapshots_.commit(upper, on, {.latest = step(i).latest}));
}

// A context is not mounted itself: a command would see what is ignored, and what changes meanwhile.
std::vector<Digest> Solver::mounted_layers(const PlannedMount& planned) {
    Stack from = stack(planned.from);
    if (planned.from.kind == TreeRef::Kind::context) {
        MountedPicks picked = pick_mounted(planned);
        const auto key = [&] {
            return step_key(
                {}, {"mount", picked.copy.destination, content_of(picked.picks, false).text()});
        };
        auto layer = cache_.find(key());
        if (!layer) {
            FileTree nothing;
            const CopyLooks looks{.owner = CopyLooks::Owner{}, .latest = INT64_MAX};
            PlacedCopy placed(picked.picks, picked.copy, looks, nothing);
            layer = keep(snapshots_.new_layer([&](const LayerSink& sink) {
                return placed.write(*in_.contexts.at(planned.from.name), sink);
            }));
            cache_.remember(key(), *layer, {});
        }
        from.layers.push_back(layer->blob);
        from.diff_ids.push_back(layer->diff_id);
    }
    snapshots_.unpack(from.image());
    return std::move(from.diff_ids);
}

// A command that runs, as long as this lives: who gives the build up ends it.
class Solver::Running {
public:
    Running(Solver& solver, const std::string& id) : solver_(solver), id_(id) {
        const std::lock_guard one_thread(solver_.mutex_);
        if (solver_.error_) throw Error("canceled");
        solver_.running_.insert(id_);
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() {
        const std::lock_guard one_thread(solver_.mutex_);
        solver_.running_.erase(id_);
    }

private:
    Solver& solver_;
    std::string id_;
};

CachedLayer Solver::make(size_t i, const RunCommand& what, const Stack& below, Taken&,
                         const std::string& work) {
    require_emulator(step(i).platform);
    snapshots_.unpack(below.image());
    {
        RunMounts mounts(in_.store, in_.options, work);
        for (const PlannedMount& each : what.mounts) mounts.add(each.mount, mounted_layers(each));
        for (const InlineFile& script : what.scripts) mounts.add_script(script);
        const std::string id = "build-" + random_id();
        const Running running(*this, id);
        run_command(snapshots_, below.diff_ids, what,
                    {.work = work,
                     .state = state(),
                     .id = id,
                     .network = network_path_,
                     .options = in_.options,
                     .mounts = mounts},
                    [&](std::string_view line) { in_.report.output(i, line); });
    }
    return keep(snapshots_.commit(work + "/upper", below.diff_ids, {.latest = step(i).latest}));
}

}  // namespace

Image Stack::image() const {
    Image out;
    out.manifest.media_type = spec::media::manifest;
    out.manifest.layers = layers;
    for (const Digest& diff_id : diff_ids) out.config.rootfs.diff_ids.push_back(diff_id.text());
    return out;
}

Solved solve(const SolveInput& input) { return Solver(input).solve(); }
