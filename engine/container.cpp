// Who may do what is said by flock, never by the presence of a file: locks of the dead are free.
#include "engine/container.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/defer.h"
#include "base/directory.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sys.h"
#include "container/network_json.h"
#include "engine/check.h"
#include "engine/events.h"
#include "image/digest.h"

// Longer ones are not ours.
static constexpr size_t most_of_a_document = size_t(64) << 20;
// A last state knows of no ports, and an error's words are short.
static constexpr off_t room_for_the_end = 8192;

template <>
inline constexpr auto json::fields<State> = std::tuple(
    json::required("status", &State::status), json::optional("pid", &State::pid),
    json::optional("pid_started", &State::pid_started), json::optional("boot", &State::boot),
    json::optional("restart_count", &State::restart_count),
    json::optional("exit_code", &State::exit_code),
    json::optional("oom_killed", &State::oom_killed), json::optional("error", &State::error),
    json::optional("started_at", &State::started_at),
    json::optional("finished_at", &State::finished_at), json::required("network", &State::network),
    json::optional("more_networks", &State::more_networks));

State Container::last_state() const {
    try {
        const auto text = read_file_if_exists(file("state.json"), most_of_a_document);
        State state = text ? json::read<State>(json::parse(*text)) : State{};
        if (!state.boot.empty() && state.boot != boot_id()) state.pid = 0;
        return state;
    } catch (const std::exception& e) {
        State unknown;
        unknown.status = "dead", unknown.exit_code = 255,
        unknown.error = str("state.json is damaged: ", e.what());
        return unknown;
    }
}

State Container::state() const {
    State state = last_state();
    const bool active =
        state.status == "running" || state.status == "paused" || state.status == "restarting";
    if (!active || is_alive(state.pid, state.pid_started)) return state;
    // The process is gone: its monitor is about to say so, unless it is gone too.
    if (!try_lock()) return state;
    state.status = "exited", state.exit_code = 255, state.pid = 0;
    if (state.finished_at.empty()) state.finished_at = rfc3339_now();
    return state;
}

// The mark is behind the exit code.
void Container::ask_to_stop() const {
    const UniqueFd lock = sys::open(file("lock"), O_WRONLY);
    if (::pwrite(lock.get(), "stop", 4, size_of_exit_note) != 4)
        throw SysError("writing ", file("lock"));
}

bool Container::is_asked_to_stop() const {
    const auto lock = sys::try_open(file("lock"), O_RDONLY);
    char mark[4] = {};
    return lock && ::pread(lock->get(), mark, sizeof mark, size_of_exit_note) == sizeof mark &&
           std::string_view(mark, sizeof mark) == "stop";
}

void Container::save(const State& state) const {
    replace_file(file("state.json"), json::dump(json::write(state)), 0600, durability());
}

void Container::reserve_end() const {
    const UniqueFd room = sys::open(file("state.end"), O_WRONLY | O_CREAT, 0600);
    const int error = ::posix_fallocate(room.get(), 0, room_for_the_end);
    if (error) throw SysError(error, "taking room for " + file("state.json"));
}

void Container::save_end(const State& state) const {
    const auto room = sys::try_open(file("state.end"), O_WRONLY);
    if (!room) return save(state);
    const std::string text = json::dump(json::write(state));
    context(file("state.end"), [&] { sys::write_all(room->get(), text); });
    check(::ftruncate(room->get(), off_t(text.size())), "truncating ", file("state.end"));
    if (durability() == Durability::fsync) sys::fsync(room->get());
    sys::rename(file("state.end"), file("state.json"));
    if (durability() == Durability::fsync) sys::fsync_directory(directory_);
}

std::optional<FileLock> Container::try_lock() const { return FileLock::try_lock(file("lock")); }

// Nobody holds such a lock for long, unless something is wrong with the machine; that is no reason
// to hang.
static std::optional<FileLock> lock_soon(const Container& container, const std::string& name) try {
    for (int milliseconds = 0; milliseconds < 60'000;) {
        if (auto lock = FileLock::try_lock(container.file(name))) {
            if (!sys::exists(container.file("settings.json"))) return {};
            return lock;
        }
        const int pause = std::clamp(milliseconds / 8, 1, 100);
        ::usleep(unsigned(pause) * 1000);
        milliseconds += pause;
    }
    throw Error(
        "container ", container.id(),
        " has been started, stopped or removed by another command for a minute and is not done");
} catch (const SysError& e) {
    if (e.code() == ENOENT) return {};
    throw;
}

std::optional<FileLock> Container::begin_change() const { return lock_soon(*this, "changing"); }
std::optional<FileLock> Container::lock() const { return lock_soon(*this, "lock"); }

Containers::Containers(std::string store_root)
    : store_root_(std::move(store_root)), root_(store_root_ + "/containers") {
    sys::make_directories(root_ + "/names", 0700);
}

// What other code relies on is looked at here, once.
static Settings checked_settings(const std::string& id, std::string_view text) {
    Settings settings = read_settings(text);
    if (settings.id != id) throw Error("it does not name this container");
    check_name(settings.name);
    parse_rfc3339(settings.created);
    (void)layers_of(settings);
    return settings;
}

std::optional<Container> Containers::load(const std::string& id) const {
    Container container;
    container.directory_ = root_ + "/" + id;
    try {
        const auto text = read_file_if_exists(container.file("settings.json"), most_of_a_document);
        if (!text) return {};
        container.settings_ = checked_settings(id, *text);
    } catch (const std::exception& e) {
        container.damage_ = str("container ", id, " is damaged: settings.json: ", e.what());
        container.settings_ = {};
        container.settings_.id = id, container.settings_.name = name_leading_to(id);
    }
    return container;
}

std::optional<std::string> Containers::owner_of(const std::string& name) const {
    auto id = read_file_if_exists(root_ + "/names/" + name);
    if (!id || id->size() != 64) return {};
    const std::string directory = root_ + "/" + *id;
    if (sys::exists(directory + "/settings.json")) return id;
    // Half-made: it has the name only as long as its maker lives.
    if (!sys::exists(directory + "/lock") || FileLock::try_lock(directory + "/lock")) return {};
    return id;
}

void Containers::take_name(const std::string& name, const std::string& id) const {
    const FileLock names(root_ + "/names/.lock");
    if (const auto owner = owner_of(name))
        throw Error(
            "Conflict. The container name \"/", name, "\" is already in use by container ",
            quoted(*owner),
            ". You have to remove (or rename) that container to be able to reuse that name.")
            .exit_with(125);
    replace_file(root_ + "/names/" + name, id, 0600,
                 Durability::rename_only);  // the settings make it durable
}

Containers::Made Containers::create(Settings settings) const {
    settings.id = random_id();
    settings.created = rfc3339_now();
    if (!settings.name.empty()) check_name(settings.name);
    check_settings(settings);
    Container container;
    container.directory_ = root_ + "/" + settings.id;
    // Under the names' lock, so that collect() does not find it between the two.
    StartLocks locks = [&] {
        const FileLock names(root_ + "/names/.lock");
        sys::mkdir(container.directory_, 0700);
        return StartLocks{FileLock(container.file("lock")), FileLock(container.file("changing"))};
    }();
    Defer undo([&] {
        attempt("removing the container", [&] {
            const std::string name = root_ + "/names/" + settings.name;
            if (!settings.name.empty() && read_file_if_exists(name) == settings.id)
                sys::unlink(name);
            sys::remove_tree(container.directory_);
        });
    });
    if (!settings.name.empty()) take_name(settings.name, settings.id);
    for (int tries = 0; settings.name.empty(); ++tries) {
        const std::string name =
            tries > 5 ? settings.id.substr(0, 12) : random_name() + (tries ? str(tries) : "");
        if (owner_of(name)) continue;
        take_name(name, settings.id);
        settings.name = name;
    }
    for (const char* name : {"rootfs", "upper", "work"}) sys::mkdir(container.file(name), 0755);
    if (settings.auto_remove) sys::open(container.file("self-removing"), O_WRONLY | O_CREAT, 0600);
    container.settings_ = settings;
    save_settings(container, settings);
    if (container.durability() == Durability::fsync)
        sys::fsync_directory(root_ + "/names"), sys::fsync_directory(root_);
    undo.keep();
    note_event(*this, container, "create");
    return {std::move(container), std::move(locks)};
}

std::vector<Container> Containers::all() const {
    std::vector<Container> all;
    for (const std::string& name : names_in(root_))
        if (name.size() == 64)
            if (auto container = load(name)) all.push_back(std::move(*container));
    return all;
}

std::vector<Container> Containers::list() const {
    static std::set<std::string> told;
    std::vector<Container> sound = all();
    std::erase_if(sound, [&](const Container& container) {
        if (container.damage().empty()) return false;
        if (told.insert(container.id()).second)
            log_warning(str(container.damage(), "; `keg rm -f` removes it"));
        return true;
    });
    std::ranges::sort(sound, std::ranges::greater(),
                      [](const Container& c) { return parse_rfc3339(c.settings().created); });
    return sound;
}

std::vector<Container> Containers::damaged() const {
    std::vector<Container> damaged = all();
    std::erase_if(damaged, [](const Container& container) { return container.damage().empty(); });
    return damaged;
}

std::string Containers::name_leading_to(const std::string& id) const {
    for (const std::string& name : names_in(root_ + "/names"))
        if (name[0] != '.' && read_file_if_exists(root_ + "/names/" + name) == id) return name;
    return {};
}

std::optional<Container> Containers::find_even_damaged(const std::string& typed) const {
    const std::string word = typed.starts_with('/') ? typed.substr(1) : typed;
    if (word.empty() || word.size() > 255 || word.find('/') != std::string::npos || word[0] == '.')
        return {};
    if (word.size() == 64)
        if (auto container = load(word)) return container;
    if (const auto owner = owner_of(word))
        if (auto container = load(*owner)) return container;
    std::vector<std::string> matches;
    for (const std::string& id : names_in(root_))
        if (id.size() == 64 && id.starts_with(word)) matches.push_back(id);
    if (matches.size() > 1) throw Error("Multiple IDs found with provided prefix: ", word);
    return matches.empty() ? std::nullopt : load(matches[0]);
}

std::optional<Container> Containers::find(const std::string& typed) const {
    auto container = find_even_damaged(typed);
    if (container && !container->damage().empty()) throw Error(container->damage());
    return container;
}

Container Containers::get(const std::string& typed) const {
    if (auto container = find(typed)) return *container;
    throw Error("No such container: ", typed);
}

void Containers::rename(const Container& container, const std::string& name) const {
    check_name(name);
    const auto change = container.begin_change();
    if (!change) throw Error("No such container: ", container.id());
    Settings settings = container.settings();
    const std::string old = std::exchange(settings.name, name);
    if (old == name) throw Error("Renaming a container with the same name as its current name");
    take_name(name, settings.id);
    replace_file(container.file("settings.json"), write(settings), 0600);
    sys::unlink(root_ + "/names/" + old);
    sys::fsync_directory(root_ + "/names");
    note_event(*this, container, "rename", {{"oldName", "/" + old}});
}

void Containers::save_settings(const Container& container, const Settings& settings) const {
    replace_file(container.file("settings.json"), write(settings), 0600, container.durability());
}

std::string Containers::hide(const Container& container) const {
    const std::string gone = root_ + "/.gone-" + container.id();
    sys::rename(container.directory(), gone);
    const FileLock names(root_ + "/names/.lock");
    const std::string name = root_ + "/names/" + container.settings().name;
    if (read_file_if_exists(name) == container.id()) sys::unlink(name);
    attempt("removing the store's files in /run",
            [&] { remove_volatile_directory_locked(store_root_); });
    return gone;
}

void Containers::remove(const Container& container) const { sys::remove_tree(hide(container)); }

// Half-made, half-removed, or with --rm and torn by a power cut, when it would have removed itself.
bool Containers::is_left(const std::string& name) const {
    if (name.starts_with(".gone-")) return true;
    if (name.size() != 64) return false;
    const std::string directory = root_ + "/" + name;
    if (!sys::exists(directory + "/settings.json")) return true;
    if (!sys::exists(directory + "/self-removing") ||
        sys::exists(volatile_directory(store_root_) + "/runtime/" + name))
        return false;
    const auto container = load(name);
    return container && !container->damage().empty();
}

void Containers::collect() const {
    for (const std::string& name : names_in(root_)) {
        if (!is_left(name)) continue;
        const std::string directory = root_ + "/" + name;
        attempt("removing what is left of a container", [&] {
            std::optional<FileLock> names(std::in_place, root_ + "/names/.lock");
            if (!sys::exists(directory)) return;
            const auto lock = FileLock::try_lock(directory + "/lock");
            names.reset();
            if (lock && is_left(name))
                sys::remove_tree(directory);  // not alive, nor finished meanwhile
        });
    }
}
