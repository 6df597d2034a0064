// What `keg validate` says of a layer: no less than what unpacking refuses, whatever pieces the
// bytes come in, and in a time that its length decides.
#include "image/validate/layer.h"

#include <set>

#include "tests/unit/image/layer_stack.h"
#include "tests/unit/linear.h"

namespace {

ByteSource pieces(std::string_view data, size_t size) {
    return [data, size]() mutable {
        const std::string_view piece = data.substr(0, size);
        data.remove_prefix(piece.size());
        return piece;
    };
}

std::set<std::string> codes_of(const Findings& findings) {
    std::set<std::string> codes;
    for (const Finding& finding : findings.list()) codes.emplace(finding.rule->code);
    return codes;
}

Findings judged(const Stack& stack) {
    Findings findings;
    LayerStack below;
    for (const std::string& tar : stack)
        judge_layer(pieces(tar, tar.size()), {.document = "layer", .tag = "0"}, below, findings);
    return findings;
}

std::string file(const std::string& name) { return raw_entry({.name = name}); }

}  // namespace

TEST_CASE("each rule has a code of its own") {
    std::set<std::string_view> codes;
    for (const Rule& rule : validation_rules) CHECK(codes.insert(rule.code).second);
}

TEST_CASE("of many findings of one kind some are kept and all are counted") {
    Findings findings;
    for (int i = 0; i < 50; ++i) findings.add("duplicate-path", "layer", "x", "is there twice");
    findings.add("duplicate-path", "other", "x", "is there twice");
    CHECK(findings.count(Severity::error) == 51);
    const auto list = findings.list();
    REQUIRE(list.size() == 22);
    CHECK(list.back().place == "layer");
    CHECK(list.back().problem == "and 30 more of these");
}

TEST_CASE("what cannot be unpacked has a fatal finding") {
    unsigned refused = 0;
    for (unsigned seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        Damage damage(seed);
        const Stack stack = random_stack(damage);
        const std::string why = error_of([&] { tree_of(stack); });
        CAPTURE(why);
        if (why.empty()) continue;
        ++refused;
        CHECK(judged(stack).count(Severity::fatal) > 0);
    }
    CHECK(refused > 10);
}

TEST_CASE("a layer is the same in whatever pieces its bytes come") {
    const std::string tar = file("a") + file("a") + file("b/c") + std::string(1024, '\0') + "rest";
    for (const size_t size : {size_t(1), size_t(7), size_t(512), size_t(1000), tar.size()}) {
        CAPTURE(size);
        Findings findings;
        LayerStack stack;
        const LayerFacts facts =
            judge_layer(pieces(tar, size), {.document = "layer", .tag = "0"}, stack, findings);
        CHECK(facts.size == int64_t(tar.size()));
        CHECK(facts.digest == digest_of(tar).text());
        CHECK(facts.diff_id == facts.digest);
        CHECK(codes_of(findings) ==
              std::set<std::string>{"duplicate-path", "implied-parent", "trailing-bytes"});
    }
}

TEST_CASE("a layer that stands on others is held against them without its bytes") {
    const std::string tar = raw_entry({.name = "x", .type = '1', .link = "below"});
    Findings findings;
    LayerStack one, other;
    const std::string below = file("below");
    judge_layer(pieces(below, below.size()), {.document = "below", .tag = "0"}, one, findings);
    const LayerQuestion question{.document = "layer", .tag = "1", .most_entries = 10};
    const LayerFacts facts = judge_layer(pieces(tar, tar.size()), question, one, findings);
    CHECK(codes_of(findings).empty());
    stack_again(facts, question, other, findings);
    CHECK(codes_of(findings) == std::set<std::string>{"bad-hard-link"});
}

TEST_CASE("judging a layer is linear in its length") {
    const auto problem = [](auto make) {
        return linear::problem(200, make, [](const std::string& tar) { judged({tar}); });
    };
    const auto many = [](size_t n, auto each) {
        std::string out;
        for (size_t i = 0; i < n; ++i) out += each(std::to_string(i));
        return out;
    };
    CHECK(problem([&](size_t n) {
              return many(n, [](const auto& i) { return file("d/" + i); });
          }) == "");
    CHECK(problem([&](size_t n) { return many(n, [](const auto&) { return file("same"); }); }) ==
          "");
    CHECK(problem([&](size_t n) {
              return many(n, [](const auto& i) { return file("d/.wh." + i); });
          }) == "");
    CHECK(problem([&](size_t n) {
              return many(n, [](const auto& i) { return file(i + "/deep/down"); });
          }) == "");
    CHECK(problem([&](size_t n) {
              return many(n, [](const auto& i) {
                  return raw_entry({.name = i, .type = '1', .link = "no/where"});
              });
          }) == "");
}
