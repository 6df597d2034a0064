// Stacks of layers that keg's tests would make by chance, with libFuzzer as the chance: most of
// them are whole, and so what is looked at is the tree and its index, not the archive. With
// KEG_FUZZ_FSCK set fsck.erofs judges each index, too, which takes it a thousand times as long.
#include "tests/fuzz/trees.h"
#include "tests/unit/image/erofs_place.h"

namespace {

// Damage's choices, by the input's bytes. Behind its end the first of all is chosen.
class Choices {
public:
    explicit Choices(std::string_view bytes) : bytes_(bytes) {}
    size_t below(size_t n) {
        size_t number = 0;
        for (size_t most = n - 1; most > 0; most >>= 8) number = number << 8 | next();
        return number % n;
    }
    template <class List>
    const auto& one_of(const List& list) {
        return *(std::begin(list) + below(std::size(list)));
    }

private:
    size_t next() {
        if (bytes_.empty()) return 0;
        const auto byte = uint8_t(bytes_[0]);
        bytes_.remove_prefix(1);
        return byte;
    }
    std::string_view bytes_;
};

}  // namespace

void take(std::string_view input) {
    Choices choices(input);
    const Stack stack = random_stack(choices);
    const FileTree tree = tree_of(stack);
    const std::string index = written(tree);
    if (index.empty()) return;
    const std::string other =
        difference(listing_of(read_again(index), stack), listing_of(tree, stack));
    expect(other.empty(), "what was read is what was written: " + other);
    static const bool judges = std::getenv("KEG_FUZZ_FSCK");
    if (!judges) return;
    const std::string fault = IndexFiles(index, stack).fault();
    expect(fault.empty(), "fsck.erofs has nothing against it: " + fault);
}

std::vector<std::string> seeds() {
    std::vector<std::string> all;
    for (unsigned seed = 1; seed <= 50; ++seed) {
        Damage chance(seed);
        std::string bytes(400, '\0');
        for (char& byte : bytes) byte = char(chance.below(256));
        all.push_back(std::move(bytes));
    }
    return all;
}
