// A word is a path or an image's name, and the path goes first. What it is, is found by what is
// there; and said, since a tar may be two things. Nothing wrong ends with 0 and what is wrong with
// 1, so that what could not be judged has a code of its own.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>

#include "base/json.h"
#include "base/sys.h"
#include "cli/commands.h"
#include "image/validate/validate.h"

namespace {

constexpr int not_judged = 125;

constexpr Option validate_options[] = {
    {"type", "KIND", "layout, archive, image, layer or bundle; without it, what is there decides"},
    {"format", "FORMAT", "text or json", "text"},
    {"fail-on", "SEVERITY", "exit with 1 from that severity on: fatal, error or warning", "error"},
    {"rules", nullptr, "list what is judged, and judge nothing"},
};

struct Subject {
    ValidationKind kind;
    std::string typed;
    UniqueFd file = {};  // of an archive or a layer
};

[[noreturn]] void refuse_option(const char* option, const std::string& typed, const char* known) {
    throw Error("--", option, " ", quoted(typed), " is not known; known are ", known);
}

std::optional<ValidationKind> typed_kind(const Arguments& args) {
    const std::string typed = args.get("type");
    if (typed.empty()) return {};
    const auto found = std::ranges::find(validation_kinds, typed);
    if (found == validation_kinds.end())
        refuse_option("type", typed, "layout, archive, image, layer, bundle");
    return ValidationKind(found - validation_kinds.begin());
}

Severity severity_to_fail_on(const Arguments& args) {
    const std::string typed = args.get("fail-on");
    for (const Severity severity : {Severity::fatal, Severity::error, Severity::warning})
        if (typed == word_of(severity)) return severity;
    refuse_option("fail-on", typed, "fatal, error, warning");
}

// Only a layer can be judged as it comes by.
Subject file_subject(const std::string& typed, UniqueFd file, std::optional<ValidationKind> kind) {
    const bool is_regular = S_ISREG(sys::fstat(file.get()).st_mode);
    if (!is_regular && kind != ValidationKind::layer) file = copy_of(file.get());
    if (!kind) kind = kind_of_file(file.get());
    if (!kind) throw Error(quoted(typed), " is neither an archive nor a layer: it is no tar");
    return {*kind, typed, std::move(file)};
}

Subject directory_subject(const std::string& typed, std::optional<ValidationKind> kind) {
    if (!kind) kind = kind_of_directory(typed);
    if (!kind)
        throw Error(quoted(typed), " is neither an image layout nor a bundle: it has no index.json "
                                   "and no config.json");
    return {*kind, typed};
}

Subject find_subject(const std::string& typed, std::optional<ValidationKind> kind) {
    using enum ValidationKind;
    if (kind == image) return {image, typed};
    if (typed == "-" && (kind == layout || kind == bundle))
        throw Error("a ", validation_kinds[size_t(*kind)], " is a directory, not standard input");
    if (typed == "-") return file_subject("-", UniqueFd(::fcntl(0, F_DUPFD_CLOEXEC, 3)), kind);
    struct stat info{};
    const bool is_there = ::stat(typed.c_str(), &info) == 0;
    if (!is_there && (errno != ENOENT || kind || typed.contains("./")))
        throw SysError("open ", quoted(typed));
    if (!is_there) return {image, typed};
    const bool wants_directory = kind == layout || kind == bundle;
    if (kind && wants_directory != bool(S_ISDIR(info.st_mode)))
        throw Error(quoted(typed),
                    wants_directory ? " is no directory, as a " : " is a directory, no ",
                    validation_kinds[size_t(*kind)], wants_directory ? " is" : "");
    if (S_ISDIR(info.st_mode)) return directory_subject(typed, kind);
    return file_subject(typed, sys::open(typed, O_RDONLY), kind);
}

Findings judge(const Arguments& globals, const Subject& subject) {
    Findings findings;
    switch (subject.kind) {
        case ValidationKind::layout: validate_layout(subject.typed, findings); break;
        case ValidationKind::archive:
            validate_archive(subject.file.get(), subject.typed, findings);
            break;
        case ValidationKind::layer:
            validate_layer(subject.file.get(), subject.typed, findings);
            break;
        case ValidationKind::bundle: validate_bundle(subject.typed, findings); break;
        case ValidationKind::image: {
            const Store store = open_store(globals);
            const Lease lease = store.use();
            validate_image(store, store.get(subject.typed), findings);
        }
    }
    return findings;
}

constexpr Severity worst_first[] = {Severity::fatal, Severity::error, Severity::warning,
                                    Severity::info};

void print_findings_as_json(const Subject& subject, const Findings& findings) {
    json::Value list = json::Value::array(), counts = json::Value::object();
    for (const Finding& finding : findings.list())
        list.push_back({{"severity", word_of(finding.rule->severity)},
                        {"code", finding.rule->code},
                        {"place", finding.place},
                        {"problem", finding.problem}});
    for (const Severity severity : worst_first)
        counts[std::string(word_of(severity))] = findings.count(severity);
    std::printf("%s\n", json::dump({{"kind", validation_kinds[size_t(subject.kind)]},
                                    {"path", subject.typed},
                                    {"findings", list},
                                    {"counts", counts}})
                            .c_str());
}

// Of a digest the first twelve digits, as images are shown.
std::string shortened(const std::string& place) {
    const size_t end = std::min(place.find('/'), place.size());
    const std::string document = place.substr(0, end);
    if (!Digest::is_valid(document)) return visible(place);
    const Digest digest(document);
    return visible(str(digest.algorithm(), ":", digest.short_hex(), place.substr(end)));
}

std::string counted(const Findings& findings) {
    static constexpr const char* many[] = {" infos", " warnings", " errors", " fatal"};
    static constexpr const char* one[] = {" info", " warning", " error", " fatal"};
    std::string out;
    for (const Severity severity : worst_first)
        if (const size_t count = findings.count(severity))
            out += str(out.empty() ? "" : ", ", count, (count == 1 ? one : many)[size_t(severity)]);
    return out.empty() ? "nothing found" : out;
}

void print_findings(const Subject& subject, const Findings& findings) {
    constexpr size_t widest = 60;  // what is longer than that is not aligned to
    const std::vector<Finding> list = findings.list();
    size_t code_width = 0, place_width = 0;
    for (const Finding& finding : list) {
        code_width = std::max(code_width, finding.rule->code.size());
        const size_t width = shortened(finding.place).size();
        if (width <= widest) place_width = std::max(place_width, width);
    }
    for (const Finding& finding : list)
        std::printf("%-7s  %-*s  %-*s  %s\n", std::string(word_of(finding.rule->severity)).c_str(),
                    int(code_width), std::string(finding.rule->code).c_str(), int(place_width),
                    shortened(finding.place).c_str(), visible(finding.problem).c_str());
    std::printf("%s %s: %s\n", std::string(validation_kinds[size_t(subject.kind)]).c_str(),
                visible(subject.typed).c_str(), counted(findings).c_str());
}

int print_rules() {
    for (const Rule& rule : validation_rules)
        std::printf("%-7s  %-21s  %s\n", std::string(word_of(rule.severity)).c_str(),
                    std::string(rule.code).c_str(), std::string(rule.text).c_str());
    return 0;
}

int validate(const Arguments& globals, const Arguments& args) {
    failure_exit_code = not_judged;
    if (args.flag("rules")) return print_rules();
    const auto kind = typed_kind(args);
    const Severity worst = severity_to_fail_on(args);
    const std::string format = args.get("format");
    if (format != "text" && format != "json") refuse_option("format", format, "text, json");
    if (args.size() == 0) throw Error("there is nothing to judge: name a path or an image");
    const Subject subject = find_subject(args[0], kind);
    const Findings findings = judge(globals, subject);
    (format == "json" ? print_findings_as_json : print_findings)(subject, findings);
    return std::ranges::any_of(worst_first, [&](Severity severity) {
        return severity >= worst && findings.count(severity) > 0;
    });
}

}  // namespace

constinit const Command validate_command = {
    .name = "validate",
    .synopsis = "PATH|IMAGE|-",
    .summary = "say what is wrong with an image layout, archive, image, layer or bundle",
    .options = validate_options,
    .most = 1,
    .interspersed = true,
    .run = validate,
};
