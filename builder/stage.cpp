// What is hard: the cache must not give a step what another one made. A step's key is the digest of
// the key before it and of the step's fields, each with its length, so that "a" "bc" is not "ab"
// "c", and of a number that changes with what keg makes of a step. A record counts only if the blob
// and the unpacked layer that it names are there. It is written without fsync: a torn one is no
// record, and the step runs again.
//
// ARG and ENV share their names, and whichever was set last wins: an ENV hides the ARG, and that
// ARG given again is no longer hidden.
#include "builder/stage.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"

template <>
inline constexpr auto json::fields<CachedLayer> = std::tuple(
    json::required("created", &CachedLayer::created), json::required("empty", &CachedLayer::empty));

namespace {

std::string cache_path(const Store& store, const std::string& key) {
    return store.root() + "/cache/" + Digest(key).hex() + ".json";
}

}  // namespace

size_t Stage::place_in_env(const std::string& wanted) const {
    return env_places_.find(config.config.env, wanted, [](const spec::Variable& word) {
        return std::string_view(word.name());
    });
}

const Argument* Stage::argument(const std::string& wanted) const {
    const size_t place = arg_places_.find(
        args, wanted, [](const Argument& arg) { return std::string_view(arg.name); });
    return place == Places::nowhere ? nullptr : &args[place];
}

std::string Stage::env(const std::string& wanted, bool& found) const {
    const size_t place = place_in_env(wanted);
    found = place != Places::nowhere;
    return found ? std::string(config.config.env[place].value()) : "";
}

void Stage::set_env(const std::string& variable, const std::string& value) {
    const size_t place = place_in_env(variable);
    if (place == Places::nowhere)
        config.config.env.emplace_back(variable, value);
    else
        config.config.env[place] = spec::Variable(variable, value);
    if (const Argument* arg = argument(variable)) args[size_t(arg - args.data())].hidden = true;
}

void Stage::set_arg(const std::string& variable, const std::optional<std::string>& value) {
    const Argument set{.name = variable, .value = value};
    if (const Argument* same = argument(variable))
        args[size_t(same - args.data())] = set;
    else
        args.push_back(set);
}

Lookup Stage::lookup() const {
    return [this](const std::string& wanted) -> std::optional<std::string> {
        const Argument* arg = argument(wanted);
        if (arg && arg->value && !arg->hidden) return arg->value;
        bool found = false;
        const std::string value = env(wanted, found);
        return found ? std::optional(value) : std::nullopt;
    };
}

std::vector<std::string> Stage::shell() const {
    return config.config.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"}
                                       : config.config.shell;
}

std::vector<std::string> Stage::environment() const {
    std::vector<std::string> words;
    for (const spec::Variable& word : config.config.env) words.push_back(word.text());
    for (const Argument& arg : args) {
        if (!arg.value || arg.hidden) continue;
        const size_t place = place_in_env(arg.name);
        if (place == Places::nowhere)
            words.push_back(arg.name + "=" + *arg.value);
        else
            words[place] = arg.name + "=" + *arg.value;
    }
    return words;
}

Image Stage::image() const {
    Image out;
    out.manifest.media_type = spec::media::manifest;
    out.manifest.layers = layers;
    out.config = config;
    return out;
}

void Stage::add_history(const std::string& created_by, bool empty_layer,
                        const std::string& created) {
    config.history.push_back({.created = created,
                              .author = {},
                              .created_by = created_by,
                              .comment = "buildkit.dockerfile.v0",
                              .empty_layer = empty_layer});
}

std::string Stage::key_of(const std::vector<std::string>& step) const {
    Hasher hasher;
    hasher.field("keg build 3");
    hasher.field(diff_ids.empty() ? "" : chain_ids(diff_ids).back().text());
    for (const std::string& field : step) hasher.field(field);
    return hasher.finish().text();
}

std::string lock_path(const Store& store, const std::string& key) {
    sys::make_directories(store.root() + "/layers/locks", 0700);
    return str(store.root(), "/layers/locks/step-", Digest(key).hex());
}

std::optional<CachedLayer> find_cached(const Store& store, const std::string& key,
                                       std::vector<Digest> stack) {
    const auto text = read_file_if_exists(cache_path(store, key), 1 << 20);
    if (!text) return {};
    try {
        const json::Value record = json::parse(*text);
        CachedLayer layer = json::read<CachedLayer>(record);
        layer.blob = {.media_type = record.at("mediaType").get<std::string>(),
                      .digest = record.at("digest").get<std::string>(),
                      .size = record.at("size").get<int64_t>()};
        layer.diff_id = Digest(record.at("diffID").get<std::string>());
        stack.push_back(layer.diff_id);
        if (!store.has_blob(Digest(layer.blob.digest), layer.blob.size) ||
            !Snapshots(store).can_mount(stack))
            return {};
        return layer;
    } catch (const std::exception&) {  // a torn record is no record
        return {};
    }
}

void remember(const Store& store, const std::string& key, const CachedLayer& layer) {
    json::Value record = json::write(layer);
    record["mediaType"] = layer.blob.media_type;
    record["digest"] = layer.blob.digest;
    record["size"] = layer.blob.size;
    record["diffID"] = layer.diff_id.text();
    replace_file(cache_path(store, key), json::dump(record), 0644, Durability::rename_only);
}
