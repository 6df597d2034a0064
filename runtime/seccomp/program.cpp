// A jump of BPF leads forwards and, with a condition, over 255 instructions at most; a register has
// 32 bits. So the program is built from its end, where each target is there already: an answer that
// is near is used again, and one that is far is reached by a jump in between. A 64-bit comparison
// asks the upper halves and, if they are equal, the lower ones. What calls with one number say is
// joined first: a decision without conditions counts whatever the others say, else the first that
// fits.
#include "runtime/seccomp/program.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <map>
#include <ranges>
#include <span>

#include "base/error.h"

namespace {

using Code = std::vector<sock_filter>;

constexpr sock_filter load(size_t offset) {
    return {BPF_LD | BPF_W | BPF_ABS, 0, 0, uint32_t(offset)};
}
constexpr sock_filter give(uint32_t action) { return {BPF_RET | BPF_K, 0, 0, action}; }
constexpr sock_filter skip(size_t count) { return {BPF_JMP | BPF_JA, 0, 0, uint32_t(count)}; }

void append(Code& code, const Code& more) { code.insert(code.end(), more.begin(), more.end()); }

// A comparison of a half of an argument, and where to go: on, to the end of the condition (it
// holds), or past the decision (it does not). A condition is a short list of these.
enum class Go : uint8_t { on, holds, fails };
struct Test {
    sock_filter instruction;
    Go if_true = Go::on, if_false = Go::on;
};

constexpr Test keep(uint32_t mask) { return {{BPF_ALU | BPF_AND | BPF_K, 0, 0, mask}}; }

constexpr uint64_t mask_of(unsigned bits) {
    return bits == 64 ? UINT64_MAX : (uint64_t(1) << bits) - 1;
}

constexpr Test test(uint16_t comparison, uint32_t value, Go if_true, Go if_false) {
    return {{uint16_t(BPF_JMP | BPF_K | comparison), 0, 0, value}, if_true, if_false};
}

// The upper halves decide, unless they are equal.
void compare_upper_half(std::vector<Test>& steps, const Condition& c) {
    const auto upper = uint32_t(c.value >> 32), second = uint32_t(c.second >> 32) & upper;
    switch (c.compare) {
        case Compare::masked_equal:
            steps.insert(steps.end(), {keep(upper), test(BPF_JEQ, second, Go::on, Go::fails)});
            break;
        case Compare::equal: steps.push_back(test(BPF_JEQ, upper, Go::on, Go::fails)); break;
        case Compare::not_equal: steps.push_back(test(BPF_JEQ, upper, Go::on, Go::holds)); break;
        case Compare::greater:
        case Compare::greater_equal:
            steps.insert(steps.end(), {test(BPF_JGT, upper, Go::holds, Go::on),
                                       test(BPF_JEQ, upper, Go::on, Go::fails)});
            break;
        case Compare::less:
        case Compare::less_equal:
            steps.insert(steps.end(), {test(BPF_JGT, upper, Go::fails, Go::on),
                                       test(BPF_JEQ, upper, Go::on, Go::holds)});
            break;
    }
}

void compare_lower_half(std::vector<Test>& steps, const Condition& c) {
    const auto lower = uint32_t(c.value);
    switch (c.compare) {
        case Compare::masked_equal:
            steps.insert(steps.end(), {keep(lower), test(BPF_JEQ, uint32_t(c.second) & lower,
                                                         Go::on, Go::fails)});
            break;
        case Compare::equal: steps.push_back(test(BPF_JEQ, lower, Go::on, Go::fails)); break;
        case Compare::not_equal: steps.push_back(test(BPF_JEQ, lower, Go::fails, Go::on)); break;
        case Compare::greater: steps.push_back(test(BPF_JGT, lower, Go::on, Go::fails)); break;
        case Compare::greater_equal:
            steps.push_back(test(BPF_JGE, lower, Go::on, Go::fails));
            break;
        case Compare::less: steps.push_back(test(BPF_JGE, lower, Go::fails, Go::on)); break;
        case Compare::less_equal: steps.push_back(test(BPF_JGT, lower, Go::fails, Go::on)); break;
    }
}

std::vector<Test> steps_of(const Condition& c, bool wide, unsigned bits) {
    constexpr bool little = std::endian::native == std::endian::little;
    const size_t at = offsetof(seccomp_data, args) + 8 * c.argument;
    const bool whole = asks_for_upper_bits(c, bits);
    std::vector<Test> steps;
    if (wide && whole) {
        steps.push_back({load(at + (little ? 4 : 0))});
        compare_upper_half(steps, c);
    }
    steps.push_back({load(at + (little ? 0 : 4))});
    if (bits < 32 && !whole) steps.push_back(keep(uint32_t(mask_of(bits))));
    compare_lower_half(steps, c);
    return steps;
}

Code decision_code(const CallTable::Call& call) {
    const Decision& decision = *call.decision;
    std::vector<std::vector<Test>> conditions;
    size_t size = 1;  // the answer itself
    for (const Condition& c : decision.conditions)
        size += conditions.emplace_back(steps_of(c, call.wide, call.bits[c.argument])).size();
    Code code;
    for (const std::vector<Test>& steps : conditions)
        for (size_t i = 0; i < steps.size(); ++i) {
            const auto distance = [&](Go go) {
                return uint8_t(go == Go::on      ? 0
                               : go == Go::holds ? steps.size() - i - 1
                                                 : size - code.size() - 1);
            };
            sock_filter instruction = steps[i].instruction;
            instruction.jt = distance(steps[i].if_true),
            instruction.jf = distance(steps[i].if_false);
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
    const auto settled =
        std::ranges::find_if(calls, [](auto& call) { return call.decision->conditions.empty(); });
    if (settled != calls.end()) {
        segment.action = settled->decision->action;
        return segment;
    }
    for (const CallTable::Call& call : calls) append(segment.code, decision_code(call));
    segment.code.push_back(give(otherwise));
    return segment;
}

// Segments in order, next to each other and different from each other.
class Segments {
public:
    explicit Segments(uint32_t otherwise) : otherwise_(otherwise) {
        list_.push_back({0, otherwise});
    }
    void add(Segment segment, uint32_t last) {
        start(std::move(segment));
        if (last != UINT32_MAX) start({last + 1, otherwise_});
    }
    std::span<const Segment> list() const { return list_; }

private:
    void start(Segment segment) {
        if (list_.back().first == segment.first) list_.pop_back();
        const bool goes_on = !list_.empty() && list_.back().code.empty() && segment.code.empty() &&
                             list_.back().action == segment.action;
        if (!goes_on) list_.push_back(std::move(segment));
    }
    uint32_t otherwise_;
    std::vector<Segment> list_;
};

Segments segments_of(CallTable table) {
    uint32_t order = 0;
    for (CallTable::Call& call : table.calls) call.order = order++;
    std::ranges::sort(table.calls, {}, [](auto& call) {
        return std::tuple(call.number, !call.settles, call.order);
    });
    std::ranges::sort(table.ranges, {}, &CallTable::Range::first);
    Segments segments(table.otherwise);
    auto range = table.ranges.begin();
    const auto add_ranges_before = [&](uint64_t number) {
        for (; range != table.ranges.end() && range->first < number; ++range)
            segments.add({range->first, range->action}, range->last);
    };
    for (auto call = table.calls.begin(); call != table.calls.end();) {
        const uint32_t number = call->number;
        const auto end = std::ranges::find_if(call, table.calls.end(),
                                              [&](auto& c) { return c.number != number; });
        add_ranges_before(number);
        segments.add(segment_of({call, end}, table.otherwise), number);
        call = end;
    }
    add_ranges_before(uint64_t(UINT32_MAX) + 1);
    return segments;
}

// A program built from its end: where a jump leads is there already, and an answer that stands near
// enough is not given again, which makes half of the instructions. A place is the number of
// instructions from there to the end.
class Backwards {
public:
    size_t put(sock_filter instruction) {
        code_.push_back(instruction);
        return code_.size();
    }
    size_t put(const Code& code) {
        for (const sock_filter& instruction : code | std::views::reverse) put(instruction);
        return code_.size();
    }
    size_t answer(uint32_t action) {
        const auto [known, added] = answers_.try_emplace(action, 0);
        if (added || code_.size() - known->second > near) known->second = put(give(action));
        return known->second;
    }
    size_t jump(uint16_t comparison, uint32_t value, size_t if_true, size_t if_false) {
        // A conditional jump reaches 255 instructions; farther goes one without a condition.
        for (size_t* to : {&if_true, &if_false})
            if (code_.size() - *to > 254) *to = put(skip(code_.size() - *to));
        return put({uint16_t(BPF_JMP | BPF_K | comparison), uint8_t(code_.size() - if_true),
                    uint8_t(code_.size() - if_false), value});
    }
    // What is put next goes on there.
    void lead_to(size_t place) {
        if (place != code_.size()) put(skip(code_.size() - place));
    }
    Code forwards() && {
        std::ranges::reverse(code_);
        return std::move(code_);
    }

private:
    static constexpr size_t near = 128;  // still in reach of the jumps to come
    Code code_;
    std::map<uint32_t, size_t> answers_;
};

size_t search(Backwards& program, std::span<const Segment> segments) {
    if (segments.size() == 1)
        return segments[0].code.empty() ? program.answer(segments[0].action)
                                        : program.put(segments[0].code);
    const size_t middle = segments.size() / 2;
    const size_t above = search(program, segments.subspan(middle)),
                 below = search(program, segments.first(middle));
    return program.jump(BPF_JGE, segments[middle].first, above, below);
}

}  // namespace

bool asks_for_upper_bits(const Condition& c, unsigned bits) {
    const uint64_t most = mask_of(bits);
    if (bits == 64) return true;
    if (c.compare == Compare::masked_equal) return c.value > most;
    if (c.value == most) return c.compare == Compare::greater || c.compare == Compare::less_equal;
    const bool negative = bits == 32 && c.value >> 31 == (uint64_t(1) << 33) - 1;
    return c.value > most && !negative;
}

std::vector<sock_filter> assemble(const std::vector<CallTable>& tables, uint32_t foreign) {
    Backwards program;
    size_t next = program.answer(foreign);
    for (const CallTable& table : tables | std::views::reverse) {
        program.lead_to(search(program, segments_of(table).list()));
        const size_t own = program.put(load(offsetof(seccomp_data, nr)));
        next = program.jump(BPF_JEQ, table.token, own, next);
    }
    program.put(load(offsetof(seccomp_data, arch)));
    Code code = std::move(program).forwards();
    if (code.size() > BPF_MAXINSNS)
        throw Error("seccomp profile is too large: ", code.size(),
                    " instructions, the kernel takes ", BPF_MAXINSNS);
    return code;
}
