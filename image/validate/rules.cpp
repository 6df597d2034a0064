// What is hard: how many findings there are, and how long their words, is what a stranger makes it.
// So memory has a bound in each direction, and the counts are right all the same.
#include "image/validate/rules.h"

#include <numeric>

namespace {

constexpr size_t most_of_a_kind = 20;  // of one rule in one document
constexpr size_t most_kept = 10'000;
constexpr size_t longest = 2048;  // of what a stranger can make as long as he likes

std::string bounded(std::string text) {
    if (text.size() > longest) text.resize(longest), text += "…";
    return text;
}

}  // namespace

std::string_view word_of(Severity severity) {
    static constexpr std::string_view words[] = {"info", "warning", "error", "fatal"};
    return words[size_t(severity)];
}

void Findings::add(RuleCode code, const std::string& document, const std::string& inside,
                   std::string problem) {
    const Rule& rule = code.rule();
    ++counts_[size_t(rule.severity)];
    Times& times = seen_[{document, &rule}];
    ++times.met;
    if (times.kept == most_of_a_kind || kept_.size() >= most_kept) return;
    ++times.kept;
    kept_.push_back({&rule, bounded(inside.empty() ? document : str(document, "/", inside)),
                     bounded(std::move(problem))});
}

size_t Findings::count() const {
    return std::accumulate(std::begin(counts_), std::end(counts_), size_t(0));
}

std::vector<Finding> Findings::list() const {
    std::vector<Finding> all = kept_;
    for (const auto& [kind, times] : seen_)
        if (times.met > times.kept)
            all.push_back(
                {kind.second, kind.first, str("and ", times.met - times.kept, " more of these")});
    return all;
}
