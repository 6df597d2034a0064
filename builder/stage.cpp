// ARG and ENV share their names, and whichever was set last wins: an ENV hides the ARG, and that
// ARG given again is no longer hidden.
#include "builder/stage.h"

#include "base/log.h"

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

void Stage::add_history(const std::string& created_by, bool empty_layer) {
    config.history.push_back({.created = rfc3339(latest * 1'000'000'000),
                              .author = {},
                              .created_by = created_by,
                              .comment = "buildkit.dockerfile.v0",
                              .empty_layer = empty_layer});
}
