// The documents of an image: indexes, manifests, configs, each given to every reader.
#include "image/validate/documents.h"
#include "base/file.h"
#include "spec/image.h"
#include "tests/fuzz/fuzz.h"

// What is read and written is read again as the same.
template <class Read>
static void read_and_write(std::string_view text, Read read) {
    const std::string once = spec::write(read(text));
    std::string again;
    expect(is_taken([&] { again = spec::write(read(once)); }), "what keg writes it reads: " + once);
    expect(again == once, "a document that was read is written as the same: " + once);
}

void take(std::string_view input) {
    const bool is_index = is_taken([&] { read_and_write(input, spec::read_index); });
    const bool is_manifest = is_taken([&] { read_and_write(input, spec::read_manifest); });
    expect(!is_index || !is_manifest, "nothing is both an index and a manifest");
    const bool is_config = is_taken([&] { read_and_write(input, spec::read_image_config); });
    is_taken([&] { read_and_write(input, spec::read_container_config); });

    Findings of_index, of_manifest, of_config, of_others;
    judge_index(input, "document", spec::media::index, of_index);
    judge_manifest(input, "document", spec::media::manifest, of_manifest);
    judge_config(input, "document", of_config);
    judge_layout_file(input, "document", of_others);
    judge_archive_items(input, "document", of_others);
    expect(is_index || of_index.count() > 0, "an index that is refused has a finding");
    expect(is_manifest || of_manifest.count() > 0, "a manifest that is refused has a finding");
    expect(is_config || of_config.count() > 0, "a config that is refused has a finding");
}

std::vector<std::string> seeds() {
    std::vector<std::string> all{
        R"({"imageLayoutVersion": "1.0.0"})",
        R"([{"Config":"c.json","RepoTags":["a:b"],"Layers":["l/l.tar"]}])"};
    for (const char* name : {"index", "manifest", "image-config"})
        all.push_back(read_file(str(TEST_DATA, "/spec/", name, ".json")));
    return all;
}
