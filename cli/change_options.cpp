#include "cli/change_options.h"

#include <cstdio>

ChangeWords read_change_words(const Arguments& args, const std::string& command) {
    return {.author = args.get("author"),
            .message = args.get("message"),
            .created_by = args.value("created-by").value_or(command)};
}

void show_made(const Image& image) { std::printf("%s\n", image.id().text().c_str()); }
