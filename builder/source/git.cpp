// What is hard: a repository is a stranger's, and git is a program that obeys configuration, hooks,
// environment and helpers. So it gets an environment made here, no configuration but our own, no
// hooks and four protocols; what is a name in a URL never becomes an option; and what was checked
// out is only looked at through a Root, so that no link of it leads out of it.
//
// A commit alone is fetched where the server gives it. Some give only what has a name: then all
// names are fetched, and the commit is looked for in them.
#include "builder/source/git.h"

#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "base/boolean.h"
#include "base/error.h"
#include "base/process.h"
#include "base/root.h"
#include "base/sys.h"
#include "base/tree_walk.h"
#include "image/files.h"
#include "image/layer/rules.h"

namespace {

constexpr std::chrono::minutes most_time{60};
constexpr size_t most_output = size_t(64) << 20;

bool is_hex(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}
bool is_whole_commit(std::string_view text) {
    return is_hex(text) && (text.size() == 40 || text.size() == 64);
}

// --- what was typed

// user@host:path, as ssh has it. Neither part may look like an option.
bool is_scp_form(std::string_view text) {
    const auto is_name = [](std::string_view part) {
        return !part.empty() && std::isalnum(static_cast<unsigned char>(part[0])) &&
               std::ranges::all_of(part, [](char c) {
                   return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' ||
                          c == '.';
               });
    };
    const size_t at = text.find('@'), colon = text.find(':');
    return at != std::string_view::npos && colon != std::string_view::npos && at < colon &&
           is_name(text.substr(0, at)) && is_name(text.substr(at + 1, colon - at - 1)) &&
           colon + 1 < text.size() && !text.substr(colon).starts_with("://");
}

bool is_repository(std::string_view remote) {
    const auto scheme = remote.substr(0, remote.find("://"));
    if (scheme == "http" || scheme == "https") return remote.ends_with(".git");
    if (scheme == "git" || scheme == "ssh") return true;
    return is_scp_form(remote);
}

// Of a host that begins with a dash ssh would make an option.
void check_remote(std::string_view remote) {
    const size_t scheme = remote.find("://");
    if (scheme == std::string_view::npos) return;
    std::string_view host = remote.substr(scheme + 3);
    host = host.substr(0, host.find('/'));
    host = host.substr(host.rfind('@') + 1);
    if (host.empty() || host.starts_with('-') || remote.find_first_of(" \t\n\r") != remote.npos)
        throw Error("invalid git repository ", quoted(remote));
}

// git-check-ref-format(1), or so much of it that it is one word, and no option.
void check_ref(std::string_view ref) {
    const bool is_bad = ref.starts_with('-') || ref.starts_with('/') || ref.contains("..") ||
                        ref.contains("@{") || ref.find_first_of(" ~^:?*[\\\x7f") != ref.npos ||
                        std::ranges::any_of(ref, [](char c) { return c >= 0 && c < ' '; });
    if (is_bad) throw Error("invalid git ref ", quoted(ref));
}

bool switched_on(std::string_view key, const std::string& value) {
    if (value.empty()) return true;
    const auto parsed = parse_bool(value);
    if (!parsed) throw Error("invalid ", key, " value: ", quoted(value));
    return *parsed;
}

void set_ref(GitSource& source, const std::string& ref) {
    if (!source.ref.empty() && !ref.empty() && source.ref != ref)
        throw Error("conflicting git refs: ", quoted(source.ref), " and ", quoted(ref));
    if (!ref.empty()) source.ref = ref;
}

void set_subdir(GitSource& source, const std::string& subdir) {
    const std::string clean = clean_path(subdir);
    if (!source.subdir.empty() && !clean.empty() && source.subdir != clean)
        throw Error("conflicting git subdirectories: ", quoted(source.subdir), " and ",
                    quoted(clean));
    if (!clean.empty()) source.subdir = clean;
}

struct Parameter {
    std::string_view name;
    void (*take)(GitSource& source, const std::string& value);
};
constexpr Parameter parameters[] = {
    {"ref", [](GitSource& source, const std::string& value) { set_ref(source, value); }},
    {"branch",
     [](GitSource& source, const std::string& value) { set_ref(source, "refs/heads/" + value); }},
    {"tag",
     [](GitSource& source, const std::string& value) { set_ref(source, "refs/tags/" + value); }},
    {"subdir", [](GitSource& source, const std::string& value) { set_subdir(source, value); }},
    {"checksum", [](GitSource& source, const std::string& value) { source.checksum = value; }},
    {"commit", [](GitSource& source, const std::string& value) { source.checksum = value; }},
    {"keep-git-dir",
     [](GitSource& source, const std::string& value) {
         source.keep_git_dir = switched_on("keep-git-dir", value);
     }},
    {"submodules",
     [](GitSource& source, const std::string& value) {
         source.submodules = switched_on("submodules", value);
     }},
};

void take_query(GitSource& source, const std::string& query) {
    for (const std::string& pair : split(query, '&')) {
        const std::string name = pair.substr(0, pair.find('='));
        const std::string value = name.size() < pair.size() ? pair.substr(name.size() + 1) : "";
        const auto* const found = std::ranges::find(parameters, name, &Parameter::name);
        if (found == std::end(parameters)) throw Error("unexpected query ", quoted(name));
        found->take(source, value);
    }
}

// --- git

// A password may stand in it.
std::string shown(const std::string& remote) {
    const size_t scheme = remote.find("://"), at = remote.find('@');
    if (scheme == std::string::npos || at == std::string::npos) return remote;
    return remote.find('/', scheme + 3) < at ? remote
                                             : remote.substr(0, scheme + 3) + remote.substr(at + 1);
}

std::vector<std::string> environment(const std::string& agent) {
    std::vector<std::string> out = {
        "HOME=/nonexistent",
        "LC_ALL=C",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_ASKPASS=true",
        "GIT_ALLOW_PROTOCOL=http:https:ssh:git",
        "GIT_SSH_COMMAND=ssh -F /dev/null -o BatchMode=yes -o ConnectTimeout=30",
    };
    for (const char* name : {"PATH", "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy",
                             "NO_PROXY", "all_proxy", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"})
        if (const char* const value = ::getenv(name)) out.push_back(str(name, "=", value));
    if (!agent.empty()) out.push_back("SSH_AUTH_SOCK=" + agent);
    return out;
}

// The line that says why.
std::string reason_in(const std::string& errors) {
    std::string found;
    for (const std::string& line : split(errors, '\n'))
        for (const std::string_view mark : {"fatal: ", "error: ", "remote: "})
            if (found.empty() && line.starts_with(mark)) found = line.substr(mark.size());
    return found.empty() ? std::string(trim(errors)) : found;
}

class Git {
public:
    Git(const GitSource& source, std::string directory, const std::string& agent)
        : source_(source), directory_(std::move(directory)), environment_(environment(agent)) {}

    std::string check_out() {
        run({"init", "-q", "--template=", "."});
        find();
        run({"remote", "add", "origin", source_.remote});
        if (!fetch_one()) fetch_all();
        run({"checkout", "-q", "--detach", commit_.empty() ? "FETCH_HEAD" : commit_});
        const std::string commit(trim(run({"rev-parse", "--verify", "HEAD^{commit}"})));
        if (!commit.starts_with(source_.checksum))
            throw Error("expected checksum to match ", source_.checksum, ", got ", commit);
        // From here on it is what was asked for, and what it names may come.
        if (source_.submodules && sys::exists(directory_ + "/.gitmodules"))
            run({"submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"});
        if (source_.keep_git_dir) run({"remote", "set-url", "origin", shown(source_.remote)});
        return commit;
    }

private:
    // What the remote calls it: a branch before a tag, of a tag what it is of.
    void find() {
        const std::string& ref = source_.ref;
        if (is_whole_commit(ref)) {
            commit_ = ref;
            return;
        }
        const auto names = ref.empty() ? std::vector<std::string>{"HEAD"}
                           : ref.starts_with("refs/")
                               ? std::vector<std::string>{ref}
                               : std::vector<std::string>{"refs/heads/" + ref, "refs/tags/" + ref};
        std::vector<std::string> words = {"ls-remote", "--", source_.remote};
        for (const std::string& name : names) words.insert(words.end(), {name, name + "^{}"});
        std::map<std::string, std::string> known;  // commits, by names
        for (const std::string& line : split(run(words), '\n'))
            if (const size_t tab = line.find('\t'); tab != std::string::npos)
                known[line.substr(tab + 1)] = line.substr(0, tab);
        for (const std::string& name : names) {
            if (!known.contains(name)) continue;
            name_ = name;
            commit_ = known.contains(name + "^{}") ? known[name + "^{}"] : known[name];
            return;
        }
        if (!is_hex(ref))
            throw Error("repository ", shown(source_.remote), " does not contain ref ",
                        ref.empty() ? "HEAD" : ref);
    }

    // By its name, or by its number where the server gives it so. False: it does not.
    bool fetch_one() {
        const std::string wanted = name_.empty() ? commit_ : name_;
        if (wanted.empty()) return false;  // a commit's first digits
        commit_ = name_.empty() ? commit_ : "";
        for (const bool shallow : {true, false}) {
            std::vector<std::string> words = {"fetch", "-q", "--no-tags"};
            if (shallow) words.emplace_back("--depth=1");
            words.insert(words.end(), {"--", "origin", wanted});
            const Result result = try_run(words);
            if (result.is_success) return true;
            if (!result.errors.contains("shallow")) {
                if (!name_.empty()) fail(result.errors);
                return false;
            }
        }
        return false;
    }
    void fetch_all() {
        run({"fetch", "-q", "--", "origin", "+refs/heads/*:refs/remotes/origin/*",
             "+refs/tags/*:refs/tags/*"});
        const Result found = try_run({"rev-parse", "--verify", "-q", source_.ref + "^{commit}"});
        if (!found.is_success)
            throw Error("repository ", shown(source_.remote), " does not contain ref ",
                        source_.ref);
        commit_ = trim(found.output);
    }

    struct Result {
        bool is_success;
        std::string output, errors;
    };
    std::string run(const std::vector<std::string>& words) {
        Result result = try_run(words);
        if (!result.is_success) fail(result.errors);
        return std::move(result.output);
    }
    Result try_run(const std::vector<std::string>& words) {
        std::vector<std::string> argv = {
            "git",       "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "-c",
            "gc.auto=0", "-c", "http.lowSpeedLimit=32",    "-c", "http.lowSpeedTime=60"};
        argv.insert(argv.end(), words.begin(), words.end());
        const UniqueFd output = nameless_file(), errors = nameless_file();
        Child child = spawn({.argv = std::move(argv),
                             .env = environment_,
                             .own_env = true,
                             .directory = directory_,
                             .in = -1,
                             .out = output.get(),
                             .err = errors.get(),
                             .fds = {},
                             .dies_with_us = true});
        const UniqueFd process = sys::pidfd_open(child.pid());
        pollfd ended{process.get(), POLLIN, 0};
        const auto give_up = std::chrono::steady_clock::now() + most_time;
        while (!ended.revents && std::chrono::steady_clock::now() < give_up)
            if (::poll(&ended, 1, 1000) < 0 && errno != EINTR) throw SysError("poll");
        if (!ended.revents) throw Error("git takes longer than an hour");
        const ExitStatus status = child.wait();
        const auto text_of = [](int fd) {
            check(::lseek(fd, 0, SEEK_SET), "lseek");
            return sys::read_all(fd, most_output);
        };
        return {status.shell() == 0, text_of(output.get()), text_of(errors.get())};
    }
    [[noreturn]] void fail(const std::string& errors) const {
        throw Error("git repository ", shown(source_.remote), ": ", reason_in(errors));
    }

    const GitSource& source_;
    const std::string directory_;
    std::vector<std::string> environment_;
    std::string name_, commit_;  // "refs/heads/main"; what it is, as far as it is known
};

// Of the repository and its submodules: no file that is tracked has that name.
void remove_git_directories(const std::string& directory) {
    std::vector<std::string> found;
    walk_tree(AT_FDCWD, directory, {.meet = [&](const TreePlace& place) {
                  if (std::string_view(place.name) != ".git") return place.type == DT_DIR;
                  found.push_back(directory + place.path());
                  return false;
              }});
    for (const std::string& path : found) sys::remove_tree(path);
}

std::string subdirectory(const std::string& directory, const GitSource& source) {
    if (source.subdir.empty()) return directory;
    const Root root(directory);
    const auto found = root.open_if_exists(source.subdir, O_PATH);
    if (!found || !S_ISDIR(sys::fstat(found->get()).st_mode))
        throw Error("subdirectory ", quoted(source.subdir), " is not a directory in ",
                    shown(source.remote));
    char path[4096];
    const ssize_t size = ::readlink(sys::proc_fd(found->get()).c_str(), path, sizeof path);
    check(size, "finding a subdirectory");
    return {path, size_t(size)};
}

}  // namespace

std::string GitSource::name() const {
    std::string last = remote.substr(remote.find_last_of("/:") + 1);
    if (last.ends_with(".git")) last.resize(last.size() - 4);
    return last;
}

std::optional<GitSource> parse_git_source(const std::string& typed) {
    const size_t hash = typed.find('#'), question = std::min(typed.find('?'), hash);
    GitSource source;
    source.remote = typed.substr(0, question);
    if (source.remote.starts_with("github.com/"))
        source.remote.insert(0, "https://");
    else if (!is_repository(source.remote))
        return {};
    return context("git repository " + quoted(shown(source.remote)), [&] {
        check_remote(source.remote);
        if (hash != std::string::npos) {
            const std::string fragment = typed.substr(hash + 1);
            const size_t colon = fragment.find(':');
            set_ref(source, fragment.substr(0, colon));
            if (colon != std::string::npos) set_subdir(source, fragment.substr(colon + 1));
        }
        if (question != hash) take_query(source, typed.substr(question + 1, hash - question - 1));
        check_ref(source.ref);
        check_commit(source.checksum);
        return std::optional(source);
    });
}

void check_commit(const std::string& typed) {
    if (!typed.empty() && !is_hex(typed))
        throw Error("invalid checksum ", quoted(typed), ": expected a commit");
}

Digest key_of_git(const GitSource& source, const std::string& commit) {
    Hasher key;
    for (const std::string_view field :
         {std::string_view("git"), std::string_view(commit), std::string_view(source.subdir),
          std::string_view(source.keep_git_dir ? "keeps .git" : ""),
          std::string_view(source.submodules ? "submodules" : "")})
        key.field(field);
    return key.finish();
}

FetchedTree fetch_git(const GitSource& source, const std::string& directory,
                      const std::string& agent) {
    const std::string commit = Git(source, directory, agent).check_out();
    if (!source.keep_git_dir) remove_git_directories(directory);
    return {subdirectory(directory, source), commit, key_of_git(source, commit)};
}
