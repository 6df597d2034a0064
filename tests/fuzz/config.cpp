// config.json, as keg-runtime reads it, and all that it decides by it.
#include "tests/unit/runtime/whole_config.h"

#include "tests/fuzz/fuzz.h"

void take(std::string_view input) {
    const spec::Reading reading = spec::read_and_validate(input);
    const bool is_valid = is_taken([&] { spec::validate(spec::read_config(input)); });
    expect(is_valid == reading.violations.empty(), "create and validate agree");
    if (!is_valid) return;
    const std::string once = spec::write(reading.config);
    expect(spec::write(spec::read_config(once)) == once, "a config is written as it was read");
    // What is valid may still be refused for what this machine is, in words of its own.
    plan(reading.config);
}

std::vector<std::string> seeds() {
    return {json::dump(valid_config()), json::dump(golden("config.json")),
            spec::write(spec::default_config())};
}
