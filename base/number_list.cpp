// Pieces may overlap, touch and come in any order, so they are sorted and joined before anything is
// counted or spread out: "0-7,3-9" has ten numbers. The largest number is checked before that, so
// that what is spread out is small, and no sum wraps around.
#include "base/number_list.h"

#include <algorithm>

#include "base/text.h"

std::optional<std::vector<NumberRange>> parse_number_list(std::string_view text) {
    std::vector<NumberRange> found;
    text = trim(text);
    if (text.empty()) return found;
    for (const std::string& piece : split(text, ',')) {
        const size_t dash = piece.find('-');
        const auto first = parse_number<unsigned>(piece.substr(0, dash));
        const auto last =
            dash == std::string::npos ? first : parse_number<unsigned>(piece.substr(dash + 1));
        if (!first || !last || *first > *last || *last > largest_in_list) return {};
        found.push_back({*first, *last});
    }
    std::ranges::sort(found, {}, &NumberRange::first);
    std::vector<NumberRange> list;
    for (const NumberRange& range : found) {
        if (list.empty() || range.first > list.back().last + 1)
            list.push_back(range);
        else
            list.back().last = std::max(list.back().last, range.last);
    }
    return list;
}

uint64_t count_numbers(const std::vector<NumberRange>& list) {
    uint64_t count = 0;
    for (const NumberRange& range : list) count += range.last - range.first + 1ull;
    return count;
}

std::vector<unsigned> numbers_in(const std::vector<NumberRange>& list) {
    std::vector<unsigned> numbers;
    for (const NumberRange& range : list)
        for (unsigned n = range.first; n <= range.last; ++n) numbers.push_back(n);
    return numbers;
}

std::vector<unsigned long> bit_mask(const std::vector<NumberRange>& list) {
    constexpr unsigned width = 8 * sizeof(unsigned long);
    std::vector<unsigned long> mask(list.empty() ? 0 : list.back().last / width + 1);
    for (const unsigned n : numbers_in(list)) mask[n / width] |= 1ul << n % width;
    return mask;
}
