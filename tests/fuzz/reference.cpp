// Names of images, as people type them and as archives and registries have them.
#include "image/reference.h"

#include "tests/fuzz/fuzz.h"

void take(std::string_view input) {
    const Reference name = parse_reference(input);
    for (const std::string& form : {name.canonical(), name.familiar()}) {
        Reference again;
        expect(is_taken([&] { again = parse_reference(form); }), "its forms are names: " + form);
        expect(again.canonical() == name.canonical(), "and mean the same: " + form);
    }
    is_name(input, name);
}

std::vector<std::string> seeds() {
    const std::string digest = "@sha256:" + std::string(64, 'a');
    return {"alpine",
            "alpine:3.19" + digest,
            "docker.io/library/alpine",
            "index.docker.io/library/alpine",
            "localhost:5000/a/b/c:1_x.y-z",
            "Registry/app" + digest,
            "[::1]:5000/app",
            "a__b/c-----d.e"};
}
