// What is hard: "X" asks whether the file could be executed before any of this; "g=u" copies what
// the clauses before it have made; a clause that names nobody ("+w") leaves out what the umask
// takes away, which is always 022 here: a build gives the same image whoever runs it.
#include "builder/language/mode.h"

#include <array>

#include "base/error.h"
#include "base/text.h"

namespace {

constexpr unsigned set_ids = 06000, sticky = 01000, all_execute = 0111;
constexpr unsigned usual_umask = 022;

struct Who {
    char name;
    unsigned bits, shift;
};
constexpr Who classes[] = {{'u', 04700, 6}, {'g', 02070, 3}, {'o', 00007, 0}};

[[noreturn]] void bad_mode(std::string_view text) {
    throw Error("invalid chmod parameter: '", visible(text),
                "'. it should be octal string and between 0 and 07777, or symbolic "
                "as u=rwX,go=rX");
}

const Who* class_of(char c) {
    for (const Who& who : classes)
        if (who.name == c) return &who;
    return nullptr;
}

}  // namespace

// "ugoa", then one or more of an operator and its permissions; clauses are separated by commas.
class ModeParser {
public:
    ModeParser(std::string_view text, std::vector<FileMode::Change>& changes)
        : text_(text), changes_(changes) {}

    void parse() {
        do clause();
        while (take(','));
        if (at_ < text_.size()) bad_mode(text_);
    }

private:
    using Change = FileMode::Change;

    char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool take(char c) {
        if (next() != c) return false;
        ++at_;
        return true;
    }

    void clause() {
        who_ = 0;
        for (;; ++at_) {
            if (next() == 'a')
                who_ |= 06777;
            else if (const Who* who = class_of(next()))
                who_ |= who->bits;
            else
                break;
        }
        do operation();
        while (std::string_view("+-=").contains(next()) && next());
    }

    void operation() {
        op_ = next();
        if (op_ != '+' && op_ != '-' && op_ != '=') bad_mode(text_);
        ++at_;
        const size_t before = changes_.size();
        reach_ = who_;
        bits_ = 0, executable_ = false;
        for (;; ++at_) {
            if (const Who* from = class_of(next()))
                flush(), copy(*from);
            else if (!permission(next()))
                break;
        }
        // "u=" takes everything away.
        if (op_ == '=' && bits_ == 0 && changes_.size() == before) clear();
        flush();
    }

    bool permission(char c) {
        const bool others_only = who_ == 00007;
        switch (c) {
            case 'r': bits_ |= 0444; return true;
            case 'w': bits_ |= 0222; return true;
            case 'x': bits_ |= 0111; return true;
            case 'X': executable_ = true; return true;
            case 's':
                if (!others_only) bits_ |= set_ids;
                return true;
            case 't':
                if (!others_only) bits_ |= sticky, reach_ |= who_ ? sticky : 0;
                return true;
            default: return false;
        }
    }

    unsigned reached(unsigned bits) const { return bits & (who_ ? reach_ : ~usual_umask); }
    void clear() { changes_.push_back({.what = Change::clear, .bits = who_ ? reach_ : 06777}); }

    // What was named since the last copy.
    void flush() {
        if (bits_ != 0 || (executable_ && op_ == '=')) {
            if (op_ == '=') clear();
            changes_.push_back(
                {.what = op_ == '-' ? Change::clear : Change::set, .bits = reached(bits_)});
        }
        if (executable_ && op_ != '-')
            changes_.push_back({.what = Change::set_if_executable, .bits = reached(all_execute)});
        bits_ = 0, executable_ = false;
    }

    void copy(const Who& from) {
        changes_.push_back({.what = Change::copy,
                            .bits = who_ ? who_ & 0777 : 0777 & ~usual_umask,
                            .from = from.shift,
                            .clears = op_ != '+',
                            .sets = op_ != '-'});
    }

    std::string_view text_;
    std::vector<FileMode::Change>& changes_;
    size_t at_ = 0;
    char op_ = 0;
    unsigned who_ = 0;    // 0: nobody was named
    unsigned reach_ = 0;  // what the operation may change, if somebody was
    unsigned bits_ = 0;
    bool executable_ = false;
};

FileMode::FileMode(std::string_view text) {
    if (const auto octal = parse_number<unsigned>(text, 8)) {
        if (*octal > 07777) bad_mode(text);
        absolute_ = *octal;
        return;
    }
    ModeParser(text, changes_).parse();
}

unsigned FileMode::apply(unsigned mode, bool is_directory) const {
    if (absolute_) return *absolute_;
    mode &= 07777;
    const bool executable = is_directory || (mode & all_execute);
    for (const Change& change : changes_) {
        if (change.what == Change::clear) mode &= ~change.bits;
        if (change.what == Change::set) mode |= change.bits;
        if (change.what == Change::set_if_executable && executable) mode |= change.bits;
        if (change.what != Change::copy) continue;
        const unsigned one = mode >> change.from & 7, every = one << 6 | one << 3 | one;
        if (change.clears) mode &= ~((change.sets ? 0777 : every) & change.bits);
        if (change.sets) mode |= every & change.bits;
    }
    return mode;
}
