// Docker's tree: an image a row, and below it a row for each platform. Its numbers stand at the
// right of their columns, which no template can say; a branch is more bytes than it is wide.
#include "cli/image_tree.h"

#include <array>
#include <cstdio>
#include <set>

#include "base/log.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "image/variants.h"

namespace {

using TreeRow = std::array<std::string, 5>;  // a cell a column
struct TreeColumn {
    const char* header;
    bool is_number;
};
constexpr TreeColumn tree_columns[] = {
    {"IMAGE", false}, {"ID", false}, {"DISK USAGE", true}, {"CONTENT SIZE", true}, {"EXTRA", false},
};

std::string short_digest(const std::string& digest) {
    return Digest::is_valid(digest) ? Digest(digest).short_hex() : "";
}

TreeRow row_of(const std::string& name, const std::string& id, uint64_t disk, uint64_t content,
               const std::string& extra) {
    return {name, short_digest(id), human_size(disk), human_size(content), extra};
}

// An image for one platform is known by its ID, an index, which has several, by its digest.
void add_rows(const Store& store, const NamedImage& named, const std::set<std::string>& used,
              std::vector<TreeRow>& rows) {
    const Variants variants = list_variants(store, named.descriptor);
    const std::vector<Variant>& all = variants.all;
    const bool is_index = spec::is_index(named.descriptor.media_type);
    const bool is_used =
        std::ranges::any_of(all, [&](const Variant& variant) { return used.contains(variant.id); });
    const std::string& id = is_index || all.empty() ? named.descriptor.digest : all[0].id;
    rows.push_back(row_of(named.name ? named.name->familiar() : "<untagged>", id, variants.disk,
                          variants.content, is_used ? "U" : ""));
    for (size_t i = 0; is_index && i < all.size(); ++i) {
        const char* const branch = i + 1 < all.size() ? "├─ " : "└─ ";
        const std::string platform =
            all[i].platform ? visible(platform_text(*all[i].platform)) : "unknown";
        const char* const extra = !all[i].is_here            ? "not here"
                                  : used.contains(all[i].id) ? "U"
                                                             : "";
        rows.push_back(
            row_of(branch + platform, all[i].manifest.digest, all[i].disk, all[i].content, extra));
    }
}

void print(const std::vector<TreeRow>& rows) {
    std::array<size_t, std::size(tree_columns)> widths{};
    for (const TreeRow& row : rows)
        for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
    for (const TreeRow& row : rows) {
        std::string line;
        for (size_t i = 0; i < row.size(); ++i) {
            const std::string blanks(widths[i] - width_of(row[i]), ' ');
            line += tree_columns[i].is_number ? blanks + row[i] : row[i] + blanks;
            if (i + 1 < row.size()) line += "   ";
        }
        line.resize(line.find_last_not_of(' ') + 1);
        std::printf("%s\n", line.c_str());
    }
}

}  // namespace

void print_image_tree(const Store& store, const std::vector<NamedImage>& images) {
    std::set<std::string> used;
    for (const ImageUser& user : image_users(store.root()).users) used.insert(user.image_id);
    std::vector<TreeRow> rows(1);
    for (size_t i = 0; i < std::size(tree_columns); ++i) rows[0][i] = tree_columns[i].header;
    for (const NamedImage& named : images)
        attempt(str("reading image ", quoted(named.shown())),
                [&] { add_rows(store, named, used, rows); });
    print(rows);
}
