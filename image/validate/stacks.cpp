// What is hard: images share layers, and a layer's blob is read once. So images that begin alike
// are one tree, which is gone through from the ground up. Where images part, the files below are
// copied for each branch, and the branch with most layers comes last and takes the original: so
// there are never more copies than the logarithm of the number of layers. A layer that stands on
// other layers in another image is held against these by what was kept of its entries.
#include "image/validate/stacks.h"

#include <sys/stat.h>

#include <algorithm>
#include <ranges>

#include "base/error.h"

namespace {

constexpr size_t most_passwd = 64 << 10;

bool has_user(std::string_view passwd, std::string_view name) {
    return passwd.starts_with(str(name, ":")) || passwd.contains(str("\n", name, ":"));
}

// What is in the media type's name.
std::string_view compression_said(std::string_view media_type) {
    const std::string_view known = spec::oci_media_type(media_type);
    if (known == spec::media::layer_gzip) return "gzip";
    return known == spec::media::layer_zstd || known == spec::media::erofs_layer_zstd ? "zstd" : "";
}

}  // namespace

std::string name_of_blob(const std::string& path) {
    const auto parts = split(path, '/');
    return parts.size() == 3 && parts[0] == "blobs" ? str(parts[1], ":", parts[2]) : path;
}

std::string_view algorithm_of(std::string_view digest) {
    return digest.substr(0, digest.find(':'));
}

void Stacks::judge() {
    plan();
    descend(0, LayerStack());
    for (const StackedImage& image : images_) compare_layers(image);
    compare_items();
}

void Stacks::plan() {
    nodes_.assign(1, Node());
    for (size_t i = 0; i < images_.size(); ++i) {
        size_t node = 0;
        for (const StackedLayer& layer : images_[i].layers) {
            const auto [above, is_new] = nodes_[node].above.try_emplace(layer.path, nodes_.size());
            node = above->second;
            if (!is_new) continue;
            nodes_.emplace_back();
            Read& file = layer_files_[layer.path];
            if (file.stacks++ > 0) continue;
            file.question = {.document = name_of_blob(layer.path),
                             .tag = std::to_string(tags_.size())};
            if (!layer.descriptor.digest.empty())
                file.question.digest_algorithm = algorithm_of(layer.descriptor.digest);
            if (!layer.diff_id.empty())
                file.question.diff_id_algorithm = algorithm_of(layer.diff_id);
            tags_.push_back(layer.path);
        }
        nodes_[node].images.push_back(i);
    }
    // What is above has a higher number.
    for (Node& node : nodes_ | std::views::reverse)
        for (const auto& [path, above] : node.above) node.weight += nodes_[above].weight;
}

void Stacks::descend(size_t here, LayerStack stack) {
    for (const size_t image : nodes_[here].images) judge_user(images_[image], stack);
    std::vector<std::pair<std::string, size_t>> above(nodes_[here].above.begin(),
                                                      nodes_[here].above.end());
    std::ranges::sort(above, {}, [&](const auto& pair) { return nodes_[pair.second].weight; });
    for (size_t i = 0; i < above.size(); ++i) {
        if (i + 1 == above.size()) {
            stack_layer(above[i].first, stack);
            return descend(above[i].second, std::move(stack));
        }
        LayerStack branch = stack;
        stack_layer(above[i].first, branch);
        descend(above[i].second, std::move(branch));
    }
}

void Stacks::stack_layer(const std::string& path, LayerStack& stack) {
    if (path.empty()) {  // it is not there, and what stands on it is judged as if on the ground
        stack = {.tree = FileTree(), .complete = false};
        return;
    }
    Read& file = layer_files_.at(path);
    if (!file.facts) {
        file.question.most_entries = file.stacks > 1 ? entries_left_ : 0;
        file.question.most_text = std::min(most_passwd, text_left_);
        file.facts = judge_layer(files_.open(path), file.question, stack, findings_);
        if (file.facts->entries) entries_left_ -= file.facts->entries->size();
        if (file.facts->passwd) text_left_ -= file.facts->passwd->text.size();
        return;
    }
    if (file.facts->entries) return stack_again(*file.facts, file.question, stack, findings_);
    found("not-stacked", file.question.document, "",
          "stands on other layers in other images, against which it was not held");
    stack.tree.reset();
}

void Stacks::judge_user(const StackedImage& image, LayerStack& stack) {
    if (!stack.tree || !stack.complete || !image.is_whole || image.user.empty()) return;
    const std::string name = split(image.user, ':')[0];
    if (name.empty() || parse_number<uint32_t>(name)) return;
    const auto passwd = stack.tree->look_up("etc/passwd");
    if (!passwd)
        return found("unknown-user", image.config, "config.User",
                     str("is ", quoted(image.user), ", but the image has no etc/passwd"));
    const FileTree::File& file = stack.tree->file(*passwd);
    if (!S_ISREG(file.mode) || file.size == 0) return;
    const auto tag = parse_number<size_t>(stack.tree->tars()[file.tar].tag);
    const auto& facts = layer_files_.at(tags_.at(*tag)).facts;
    if (!facts || !facts->passwd || facts->passwd->place != file.place) return;
    if (!has_user(facts->passwd->text, name))
        found("unknown-user", image.config, "config.User",
              str("is ", quoted(image.user), ", whom the image's etc/passwd does not know"));
}

// What an image's documents say of its layers, against what these are.
void Stacks::compare_layers(const StackedImage& image) {
    for (const StackedLayer& layer : image.layers) {
        const auto file = layer_files_.find(layer.path);
        if (file == layer_files_.end() || !file->second.facts) continue;
        const spec::Descriptor& said = layer.descriptor;
        const bool is_new =
            compared_.insert(str(layer.path, "\n", said.media_type, "\n", layer.diff_id)).second;
        if (is_new) compare_layer(layer, *file->second.facts);
    }
}

void Stacks::compare_layer(const StackedLayer& layer, const LayerFacts& facts) {
    const auto differ = [](std::string_view said, std::string_view is) {
        return !said.empty() && !is.empty() && algorithm_of(said) == algorithm_of(is) && said != is;
    };
    const std::string& type = layer.descriptor.media_type;
    if (differ(layer.descriptor.digest, facts.digest))
        found("digest-mismatch", layer.descriptor.digest, "",
              str("its bytes have the digest ", facts.digest));
    if (!type.empty() && facts.size > 0 && compression_said(type) != facts.compression)
        found("compression-mismatch", layer.document, layer.place + ".mediaType",
              str("is ", quoted(type), ", but the layer is ",
                  facts.compression.empty() ? "not compressed"
                                            : "compressed with " + facts.compression));
    if (spec::is_erofs_layer(type) != facts.is_image)
        found("layer-kind", layer.document, layer.place + (type.empty() ? "" : ".mediaType"),
              str("is ", type.empty() ? "without a type" : quoted(type), ", but the layer is ",
                  facts.is_image ? "an" : "no", " EROFS image"));
    if (differ(layer.diff_id, facts.diff_id))
        found(
            "diff-id-mismatch", layer.document, layer.place,
            str("the config says ", layer.diff_id, ", but the tar has the digest ", facts.diff_id));
}

// An image that both manifest.json and the layout have is the same in both.
void Stacks::compare_items() {
    const auto contents = [&](const StackedImage& image) {
        std::vector<std::string> all;
        for (const StackedLayer& layer : image.layers) {
            const auto file = layer_files_.find(layer.path);
            const bool is_read = file != layer_files_.end() && file->second.facts;
            all.push_back(is_read ? file->second.facts->diff_id : "");
        }
        return all;
    };
    std::map<std::string, const StackedImage*> of_layout;
    for (const StackedImage& image : images_)
        if (!image.is_item && !image.config_digest.empty())
            of_layout.emplace(image.config_digest, &image);
    for (const StackedImage& image : images_) {
        if (!image.is_item) continue;
        const auto other = of_layout.find(image.config_digest);
        if (other != of_layout.end() && contents(image) != contents(*other->second))
            found("disagreement", image.document, image.place,
                  str("are others, or in another order, than in ", other->second->document));
    }
}
