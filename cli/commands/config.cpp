// Each row of the table is an option, what it does with its words, and, if it is a list, how
// --clear empties it first. The words become those of an image's own config (spec/image_words.h):
// what could not be read in an image cannot be written into one.
#include <algorithm>
#include <array>

#include "base/log.h"
#include "cli/change_options.h"
#include "cli/commands.h"
#include "image/changes.h"

namespace {

using Words = std::vector<std::string>;

struct Setting {
    Option option;
    void (*set)(Image& image, const Words& words);
    void (*clear)(Image& image) = nullptr;
};

spec::ContainerConfig& inside(Image& image) { return image.config.config; }

void set_pairs(spec::StringMap& pairs, const Words& words) {
    for (const std::string& word : words) {
        const size_t equals = word.find('=');
        if (equals == std::string::npos || equals == 0)
            throw Error(quoted(word), " is not of the form NAME=VALUE");
        pairs[word.substr(0, equals)] = word.substr(equals + 1);
    }
}

const std::string& platform_word(const std::string& word) {
    if (word.empty()) throw Error("must not be empty");
    spec::check_platform_word(word);
    return word;
}

constexpr Setting settings[] = {
    {{"entrypoint", "WORD", "a word of the entrypoint; may be given several times, as all lists"},
     [](Image& image, const Words& words) { inside(image).entrypoint = words; },
     [](Image& image) { inside(image).entrypoint.reset(); }},
    {{"cmd", "WORD", "a word of the command"},
     [](Image& image, const Words& words) { inside(image).cmd = words; },
     [](Image& image) { inside(image).cmd.reset(); }},
    {{"env,e", "NAME=VALUE", "a variable of the environment"},
     [](Image& image, const Words& words) {
         for (const std::string& word : words) set_env(inside(image), spec::Variable(word));
     },
     [](Image& image) { inside(image).env.clear(); }},
    {{"label,l", "NAME=VALUE", "a label"},
     [](Image& image, const Words& words) { set_pairs(inside(image).labels, words); },
     [](Image& image) { inside(image).labels.clear(); }},
    {{"expose", "PORT[/PROTOCOL]", "a port that it listens on"},
     [](Image& image, const Words& words) {
         for (const std::string& word : words)
             inside(image).exposed_ports.merge(spec::parse_ports(word));
     },
     [](Image& image) { inside(image).exposed_ports.clear(); }},
    {{"volume,v", "DIR", "a directory that is a volume"},
     [](Image& image, const Words& words) {
         for (const std::string& word : words) inside(image).volumes.emplace(word);
     },
     [](Image& image) { inside(image).volumes.clear(); }},
    {{"annotation", "NAME=VALUE", "an annotation of the manifest"},
     [](Image& image, const Words& words) { set_pairs(image.manifest.annotations, words); },
     [](Image& image) { image.manifest.annotations.clear(); }},
    {{"user,u", "USER[:GROUP]", "who runs the process"},
     [](Image& image, const Words& words) { inside(image).user = words.back(); }},
    {{"workdir,w", "DIR", "its working directory"},
     [](Image& image, const Words& words) {
         if (!words.back().empty() && words.back()[0] != '/')
             throw Error("the working directory ", quoted(words.back()), " is not absolute");
         inside(image).working_dir = words.back();
     }},
    {{"stop-signal", "SIGNAL", "what asks it to end"},
     [](Image& image, const Words& words) {
         inside(image).stop_signal = spec::Signal(words.back());
     }},
    {{"architecture", "NAME", "the machine that it is for, as Go calls it"},
     [](Image& image, const Words& words) {
         image.config.architecture = platform_word(words.back());
     }},
    {{"os", "NAME", "the system that it is for"},
     [](Image& image, const Words& words) { image.config.os = platform_word(words.back()); }},
    {{"created", "TIME", "when it was made (RFC 3339)"},
     [](Image& image, const Words& words) {
         parse_rfc3339(words.back());
         image.config.created = words.back();
     }},
};

constexpr auto options = [] {
    std::array<Option, std::size(settings) + 6> all{};
    size_t count = 0;
    for (const Setting& setting : settings) all[count++] = setting.option;
    all[count++] = {"clear", "OPTION", "empty such a list first: env, label …"};
    all[count++] = new_tag_option;
    all[count++] = author_option;
    all[count++] = message_option;
    all[count++] = created_by_option;
    all[count++] = {"no-history", nullptr, "add nothing to the history"};
    return all;
}();

std::string long_name(const Setting& setting) {
    const std::string names = setting.option.names;
    return names.substr(0, names.find(','));
}

void clear_list(Image& image, const std::string& name) {
    const auto* setting = std::ranges::find(settings, name, long_name);
    if (setting == std::end(settings) || !setting->clear) {
        Words known;
        for (const Setting& each : settings)
            if (each.clear) known.push_back(long_name(each));
        throw Error("--clear ", name, ": is none of ", join(known, ", "));
    }
    setting->clear(image);
}

void apply(Image& image, const Arguments& args) {
    for (const std::string& name : args.all("clear")) clear_list(image, name);
    for (const Setting& setting : settings) {
        const std::string name = long_name(setting);
        const Words words = args.all(name);
        if (!words.empty()) context("--" + name, [&] { setting.set(image, words); });
    }
}

int config(const Arguments& globals, const Arguments& args) {
    change_image(globals, args, "keg config", [&](const Store&, Image& image, spec::History entry) {
        entry.empty_layer = true;
        if (!args.flag("no-history")) image.config.history.push_back(std::move(entry));
        apply(image, args);
    });
    return 0;
}

}  // namespace

constinit const Command config_command = {
    .name = "config",
    .synopsis = "IMAGE",
    .summary = "change what an image says of itself: its command, environment, labels …",
    .options = options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = config,
};
