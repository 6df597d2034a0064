#include "runtime/seccomp_program.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <span>

#include "base/error.h"

namespace {

using Code = std::vector<sock_filter>;

constexpr sock_filter load(size_t offset) { return {BPF_LD | BPF_W | BPF_ABS, 0, 0, uint32_t(offset)}; }
constexpr sock_filter give(uint32_t action) { return {BPF_RET | BPF_K, 0, 0, action}; }
constexpr sock_filter skip(size_t count) { return {BPF_JMP | BPF_JA, 0, 0, uint32_t(count)}; }

void append(Code& code, const Code& more) { code.insert(code.end(), more.begin(), more.end()); }

// A comparison of a half of an argument, and where to go: on, to the end of the condition (it holds),
// or past the decision (it does not). A condition is a short list of these.
enum class Go : uint8_t { on, holds, fails };
struct Step {
    sock_filter instruction;
    Go if_true = Go::on, if_false = Go::on;
};

constexpr Step test(uint16_t comparison, uint32_t value, Go if_true, Go if_false) {
    return {{uint16_t(BPF_JMP | BPF_K | comparison), 0, 0, value}, if_true, if_false};
}

// "greater" is decided by the upper halves unless they are equal; then by the lower ones.
std::vector<Step> steps_of(const Condition& c, bool wide) {
    constexpr bool little = std::endian::native == std::endian::little;
    const size_t at = offsetof(seccomp_data, args) + 8 * c.argument;
    const Step low{load(at + (little ? 0 : 4))}, high{load(at + (little ? 4 : 0))};
    const auto upper = uint32_t(c.value >> 32), lower = uint32_t(c.value);
    const bool masked = c.compare == Compare::masked_equal;
    const Step mask_high{{BPF_ALU | BPF_AND | BPF_K, 0, 0, upper}}, mask_low{{BPF_ALU | BPF_AND | BPF_K, 0, 0, lower}};

    std::vector<Step> steps;
    if (wide) {
        if (masked) steps.insert(steps.end(), {high, mask_high, test(BPF_JEQ, uint32_t(c.second >> 32), Go::on, Go::fails)});
        else steps.push_back(high);
        switch (c.compare) {
            case Compare::masked_equal: break;
            case Compare::equal: steps.push_back(test(BPF_JEQ, upper, Go::on, Go::fails)); break;
            case Compare::not_equal: steps.push_back(test(BPF_JEQ, upper, Go::on, Go::holds)); break;
            case Compare::greater:
            case Compare::greater_equal:
                steps.insert(steps.end(), {test(BPF_JGT, upper, Go::holds, Go::on), test(BPF_JEQ, upper, Go::on, Go::fails)});
                break;
            case Compare::less:
            case Compare::less_equal:
                steps.insert(steps.end(), {test(BPF_JGT, upper, Go::fails, Go::on), test(BPF_JEQ, upper, Go::on, Go::holds)});
                break;
        }
    }
    steps.push_back(low);
    switch (c.compare) {
        case Compare::masked_equal: steps.insert(steps.end(), {mask_low, test(BPF_JEQ, uint32_t(c.second), Go::on, Go::fails)}); break;
        case Compare::equal: steps.push_back(test(BPF_JEQ, lower, Go::on, Go::fails)); break;
        case Compare::not_equal: steps.push_back(test(BPF_JEQ, lower, Go::fails, Go::on)); break;
        case Compare::greater: steps.push_back(test(BPF_JGT, lower, Go::on, Go::fails)); break;
        case Compare::greater_equal: steps.push_back(test(BPF_JGE, lower, Go::on, Go::fails)); break;
        case Compare::less: steps.push_back(test(BPF_JGE, lower, Go::fails, Go::on)); break;
        case Compare::less_equal: steps.push_back(test(BPF_JGT, lower, Go::fails, Go::on)); break;
    }
    return steps;
}

Code decision_code(const Decision& decision, bool wide) {
    std::vector<std::vector<Step>> conditions;
    size_t size = 1;   // the answer itself
    for (const Condition& c : decision.conditions) size += conditions.emplace_back(steps_of(c, wide)).size();
    Code code;
    for (const std::vector<Step>& steps : conditions)
        for (size_t i = 0; i < steps.size(); ++i) {
            const auto distance = [&](Go go) {
                return uint8_t(go == Go::on ? 0 : go == Go::holds ? steps.size() - i - 1 : size - code.size() - 1);
            };
            sock_filter instruction = steps[i].instruction;
            instruction.jt = distance(steps[i].if_true), instruction.jf = distance(steps[i].if_false);
            code.push_back(instruction);
        }
    code.push_back(give(decision.action));
    return code;
}

// From `first` up to the next segment's first the answer is the same: one action, or code if it
// depends on the arguments.
struct Segment {
    uint32_t first, action;
    Code code = {};
};

// What the calls with one number say together.
Segment segment_of(std::span<const CallTable::Call> calls, uint32_t otherwise) {
    Segment segment{calls[0].number, otherwise};
    const auto settled = std::ranges::find_if(calls, [](auto& call) { return call.decision->conditions.empty(); });
    if (settled != calls.end()) {
        segment.action = settled->decision->action;
        return segment;
    }
    for (const CallTable::Call& call : calls) append(segment.code, decision_code(*call.decision, call.wide));
    segment.code.push_back(give(otherwise));
    return segment;
}

// Segments in order, next to each other and different from each other.
class Segments {
public:
    explicit Segments(uint32_t otherwise) : otherwise_(otherwise) { list_.push_back({0, otherwise}); }
    void add(Segment segment, uint32_t last) {
        start(std::move(segment));
        if (last != UINT32_MAX) start({last + 1, otherwise_});
    }
    std::span<const Segment> list() const { return list_; }

private:
    void start(Segment segment) {
        if (list_.back().first == segment.first) list_.pop_back();
        const bool goes_on = !list_.empty() && list_.back().code.empty() && segment.code.empty() && list_.back().action == segment.action;
        if (!goes_on) list_.push_back(std::move(segment));
    }
    uint32_t otherwise_;
    std::vector<Segment> list_;
};

Segments segments_of(CallTable table) {
    uint32_t order = 0;
    for (CallTable::Call& call : table.calls) call.order = order++;
    std::ranges::sort(table.calls, {}, [](auto& call) { return std::pair(call.number, call.order); });
    std::ranges::sort(table.ranges, {}, &CallTable::Range::first);
    Segments segments(table.otherwise);
    auto range = table.ranges.begin();
    const auto add_ranges_before = [&](uint64_t number) {
        for (; range != table.ranges.end() && range->first < number; ++range) segments.add({range->first, range->action}, range->last);
    };
    for (auto call = table.calls.begin(); call != table.calls.end();) {
        const uint32_t number = call->number;
        const auto end = std::ranges::find_if(call, table.calls.end(), [&](auto& c) { return c.number != number; });
        add_ranges_before(number);
        segments.add(segment_of({call, end}, table.otherwise), number);
        call = end;
    }
    add_ranges_before(uint64_t(UINT32_MAX) + 1);
    return segments;
}

void search(Code& code, std::span<const Segment> segments) {
    if (segments.size() == 1) {
        if (segments[0].code.empty()) code.push_back(give(segments[0].action));
        else append(code, segments[0].code);
        return;
    }
    const size_t middle = segments.size() / 2;
    Code below;
    search(below, segments.first(middle));
    // A conditional jump reaches 255 instructions; farther goes one without a condition.
    if (below.size() <= 255) {
        code.push_back({BPF_JMP | BPF_JGE | BPF_K, uint8_t(below.size()), 0, segments[middle].first});
    } else {
        code.push_back({BPF_JMP | BPF_JGE | BPF_K, 0, 1, segments[middle].first});
        code.push_back(skip(below.size()));
    }
    append(code, below);
    search(code, segments.subspan(middle));
}

}  // namespace

std::vector<sock_filter> assemble(const std::vector<CallTable>& tables, uint32_t foreign) {
    Code program{load(offsetof(seccomp_data, arch))};
    for (const CallTable& table : tables) {
        Code part{load(offsetof(seccomp_data, nr))};
        search(part, segments_of(table).list());
        program.push_back({BPF_JMP | BPF_JEQ | BPF_K, 1, 0, table.token});
        program.push_back(skip(part.size()));
        append(program, part);
    }
    program.push_back(give(foreign));
    if (program.size() > BPF_MAXINSNS) throw Error("seccomp profile is too large: ", program.size(), " instructions, the kernel takes ", BPF_MAXINSNS);
    return program;
}
