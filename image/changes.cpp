// What is hard: one text has two forms, and only its content says which. A "[" begins JSON, unless
// it is none: then it is a shell's text. ENV and LABEL are pairs if the first word has a "=", or
// one name and the rest of the line. Nothing gets into the config as a text where the image's
// language has a word for it (spec/image_words.h), so a change is checked as an image's own config
// is.
#include "image/changes.h"

#include <algorithm>

#include "base/json.h"

namespace {

using Words = std::vector<std::string>;

// Words as the Dockerfile language has them: quotes group, a backslash takes the next character.
Words words_of(const std::string& text) {
    Words out;
    std::string word;
    bool open = false;
    char quote = '\0';
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (!quote && std::isspace(static_cast<unsigned char>(c))) {
            if (open) out.push_back(std::move(word));
            word.clear();
            open = false;
            continue;
        }
        open = true;
        if (c == '\\' && quote != '\'' && i + 1 < text.size())
            word += text[++i];
        else if (quote ? c == quote : c == '"' || c == '\'')
            quote = quote ? '\0' : c;
        else
            word += c;
    }
    if (quote)
        throw Error("unexpected end of statement while looking for matching ",
                    quote == '"' ? "double-quote" : "single-quote");
    if (open) out.push_back(std::move(word));
    return out;
}

std::optional<Words> json_form(const std::string& text) {
    if (!text.starts_with('[')) return {};
    try {
        return json::read<Words>(json::parse(text));
    } catch (const Error&) {
        return {};  // then it is a shell's text, as in a Dockerfile
    }
}

Words command_of(const std::string& text) {
    return json_form(text).value_or(Words{"/bin/sh", "-c", text});
}

// "a=b c=d", or the old "a the rest".
std::vector<std::pair<std::string, std::string>> pairs_of(const std::string& text) {
    const Words words = words_of(text);
    if (words.empty()) throw Error("requires at least one argument");
    std::vector<std::pair<std::string, std::string>> out;
    if (words[0].find('=') == std::string::npos) {
        const size_t blank = text.find_first_of(" \t");
        if (blank == std::string::npos) throw Error("must have two arguments");
        return {{words[0], std::string(trim(std::string_view(text).substr(blank)))}};
    }
    for (const std::string& word : words) {
        const size_t equals = word.find('=');
        if (equals == std::string::npos || equals == 0)
            throw Error("syntax error: can't find = in ", ::quoted(word),
                        ". Must be of the form: name=value");
        out.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    }
    return out;
}

struct Change {
    const char* name;
    void (*apply)(spec::ContainerConfig& config, const std::string& text);
};
constexpr Change changes[] = {
    {"CMD", [](auto& config, auto& text) { config.cmd = command_of(text); }},
    {"ENTRYPOINT", [](auto& config, auto& text) { config.entrypoint = command_of(text); }},
    {"ENV",
     [](auto& config, auto& text) {
         for (const auto& [name, value] : pairs_of(text))
             set_env(config, spec::Variable(name, value));
     }},
    {"EXPOSE",
     [](auto& config, auto& text) {
         for (const std::string& word : words_of(text)) expose(config, word);
     }},
    {"LABEL",
     [](auto& config, auto& text) {
         for (const auto& [name, value] : pairs_of(text)) config.labels[name] = value;
     }},
    {"ONBUILD", [](auto& config, auto& text) { config.on_build.push_back(text); }},
    {"STOPSIGNAL", [](auto& config, auto& text) { config.stop_signal = spec::Signal(text); }},
    {"USER", [](auto& config, auto& text) { config.user = text; }},
    {"VOLUME",
     [](auto& config, auto& text) {
         for (const std::string& volume : json_form(text).value_or(words_of(text)))
             config.volumes.emplace(volume);
     }},
    {"WORKDIR",
     [](auto& config, auto& text) {
         config.working_dir =
             text.starts_with('/')
                 ? text
                 : (config.working_dir == "/" ? "" : config.working_dir) + "/" + text;
     }},
};

}  // namespace

void set_env(spec::ContainerConfig& config, const spec::Variable& variable) {
    const auto at = std::ranges::find(config.env, variable.name(), &spec::Variable::name);
    if (at != config.env.end())
        *at = variable;
    else
        config.env.push_back(variable);
}

void expose(spec::ContainerConfig& config, const std::string& word) {
    const size_t colon = word.substr(0, word.find('/')).rfind(':');
    const std::string inside = colon == std::string::npos ? word : word.substr(colon + 1);
    config.exposed_ports.merge(spec::parse_ports(inside));
}

void apply_change(spec::ContainerConfig& config, const std::string& instruction) {
    const std::string line(trim(instruction));
    const size_t blank = line.find_first_of(" \t");
    const std::string name = upper(line.substr(0, blank));
    const std::string text(blank == std::string::npos ? std::string_view()
                                                      : trim(std::string_view(line).substr(blank)));
    const auto* change =
        std::ranges::find_if(changes, [&](const Change& known) { return name == known.name; });
    if (change == std::end(changes)) throw Error(name, " is not a valid change command");
    if (text.empty()) throw Error(name, " requires at least one argument");
    context(name, [&] { change->apply(config, text); });
}
