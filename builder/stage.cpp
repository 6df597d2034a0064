#include "builder/stage.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

template <>
inline constexpr auto json::fields<CachedLayer> = std::tuple(json::required("created", &CachedLayer::created), json::required("empty", &CachedLayer::empty));

namespace {

std::string cache_path(const Store& store, const std::string& key) { return store.root() + "/cache/" + Digest(key).hex() + ".json"; }

}  // namespace

std::string Stage::env(const std::string& wanted, bool& found) const {
    const auto same = std::ranges::find(config.config.env, wanted, &spec::Variable::name);
    found = same != config.config.env.end();
    return found ? std::string(same->value()) : "";
}

namespace {

void set_word(std::vector<spec::Variable>& words, const std::string& name, const std::string& value) {
    const auto same = std::ranges::find(words, name, &spec::Variable::name);
    if (same != words.end()) *same = spec::Variable(name, value);
    else words.emplace_back(name, value);
}

}  // namespace

void Stage::set_env(const std::string& variable, const std::string& value) {
    set_word(config.config.env, variable, value);
    for (Argument& arg : args) arg.hidden = arg.hidden || arg.name == variable;
}

void Stage::set_arg(const std::string& variable, const std::optional<std::string>& value) {
    const auto same = std::ranges::find(args, variable, &Argument::name);
    if (same != args.end()) *same = {.name = variable, .value = value};
    else args.push_back({.name = variable, .value = value});
}

Lookup Stage::lookup() const {
    return [this](const std::string& wanted) -> std::optional<std::string> {
        for (const Argument& arg : args)
            if (arg.name == wanted && arg.value && !arg.hidden) return arg.value;
        bool found = false;
        const std::string value = env(wanted, found);
        return found ? std::optional(value) : std::nullopt;
    };
}

std::vector<std::string> Stage::shell() const {
    return config.config.shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : config.config.shell;
}

std::vector<std::string> Stage::environment() const {
    std::vector<spec::Variable> words = config.config.env;
    for (const Argument& arg : args)
        if (arg.value && !arg.hidden) set_word(words, arg.name, *arg.value);
    std::vector<std::string> out;
    for (const spec::Variable& word : words) out.push_back(word.text());
    return out;
}

void Stage::add_history(const std::string& created_by, bool empty_layer, const std::string& created) {
    config.history.push_back({.created = created, .author = {}, .created_by = created_by, .comment = "buildkit.dockerfile.v0", .empty_layer = empty_layer});
}

std::string Stage::next_key(const std::vector<std::string>& step) const {
    Hasher hasher;
    hasher.field("keg build 2");
    hasher.field(key);
    for (const std::string& field : step) hasher.field(field);
    return hasher.finish().text();
}

std::optional<CachedLayer> find_cached(const Store& store, const std::string& key, std::vector<Digest> stack) {
    const auto text = read_file_if_exists(cache_path(store, key), 1 << 20);
    if (!text) return {};
    try {
        const json::Value record = json::parse(*text);
        CachedLayer layer = json::read<CachedLayer>(record);
        layer.blob = {.media_type = record.at("mediaType").get<std::string>(), .digest = record.at("digest").get<std::string>(), .size = record.at("size").get<int64_t>()};
        layer.diff_id = Digest(record.at("diffID").get<std::string>());
        stack.push_back(layer.diff_id);
        if (!store.has_blob(Digest(layer.blob.digest), layer.blob.size) || !Snapshots(store).has_top(stack)) return {};
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
