// What is hard: most rules ask for one statement only, but variables must be followed as a build
// would: which of them a stage has depends on its base, and a base that is not in the store could
// have any. A word that cannot be expanded is not this file's business: the build says so.
#include "builder/language/lint.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "builder/language/arguments.h"
#include "builder/language/lint_scope.h"
#include "builder/language/lint_stage.h"
#include "image/reference.h"

namespace {

bool is_lower(const std::string& word) { return word == lower(word); }
bool is_upper(const std::string& word) { return word == upper(word); }

LintVariables platform_variables(const std::string& text) {
    const spec::Platform platform = platform_if_any(text).value_or(spec::Platform{});
    LintVariables out;
    for (const std::string side : {"TARGET", "BUILD"}) {
        out[side + "PLATFORM"] = text;
        out[side + "OS"] = platform.os;
        out[side + "OSVERSION"] = "";
        out[side + "ARCH"] = platform.architecture;
        out[side + "VARIANT"] = platform.variant;
    }
    out["TARGETSTAGE"] = "default";
    return out;
}

// A file may have a hundred thousand stages that are made of one: then some are not known as well.
constexpr size_t most_copied = 1'000'000;

class Linter {
public:
    Linter(const Dockerfile& file, const LintFacts& facts)
        : file_(file), facts_(facts), findings_(asked_for(file, facts)),
          globals_(platform_variables(facts.platform)), defaults_(globals_),
          global_names_(names_of(globals_)) {}

    LintResult run() {
        check_casing();
        for (const Statement& statement : file_.statements) {
            statement_ = &statement;
            check_any();
            if (statement.keyword == "FROM")
                begin_stage();
            else if (!scope_)
                global_argument();
            else
                lint_statement(statement, stages_, *scope_, findings_);
        }
        const bool is_error = findings_.is_error();
        return {.warnings = std::move(findings_).by_line(), .is_error = is_error};
    }

private:
    static LintOptions asked_for(const Dockerfile& file, const LintFacts& facts) {
        const auto given = facts.build_args.find("BUILDKIT_DOCKERFILE_CHECK");
        return LintOptions(given == facts.build_args.end() ? file.check : given->second);
    }

    void warn(std::string_view rule, const std::string& detail) {
        findings_.warn(*statement_, rule, detail);
    }

    // --- the file as a whole

    void check_casing() {
        int lowers = 0, uppers = 0;
        for (const Statement* each : of_stages()) {
            lowers += is_lower(each->written);
            uppers += is_upper(each->written);
        }
        const bool to_lower = lowers > uppers;
        for (const Statement* each : of_stages())
            if (to_lower ? !is_lower(each->written) : !is_upper(each->written))
                findings_.warn(*each, "ConsistentInstructionCasing",
                               str("Command '", each->written,
                                   "' should match the case of the command majority (",
                                   to_lower ? "lowercase" : "uppercase", ")"));
    }
    std::vector<const Statement*> of_stages() const {
        std::vector<const Statement*> out;
        for (const Statement& each : file_.statements)
            if (!out.empty() || each.keyword == "FROM") out.push_back(&each);
        return out;
    }

    // --- any statement

    void check_any() {
        if (const int line = statement_->empty_line)
            findings_.warn_at(line, line, "NoEmptyContinuation", "Empty continuation line");
        if (statement_->keyword == "MAINTAINER")
            warn("MaintainerDeprecated",
                 "Maintainer instruction is deprecated in favor of using label");
        check_description();
    }

    // A comment right above says what a stage or an argument is for, and begins with its name.
    void check_description() {
        std::vector<std::string> names;
        if (statement_->keyword == "FROM") {
            const std::string name = lower(from_arguments(*statement_).stage);
            if (!name.empty()) names.push_back(name);
        }
        if (statement_->keyword == "ARG")
            for (const NamedArgument& each : named_arguments(*statement_, file_.escape))
                names.push_back(each.name);
        if (names.empty() || statement_->comments.empty()) return;
        const std::string first = split(statement_->comments.back(), ' ')[0];
        if (std::ranges::find(names, first) != names.end()) return;
        warn("InvalidDefinitionDescription",
             str("Comment for ", statement_->keyword, " should follow the format: `# ",
                 names.size() > 1 ? "<arg_key>" : names[0], " <description>`"));
    }

    // --- before the first stage

    void global_argument() {
        if (statement_->keyword != "ARG") return;
        for (const NamedArgument& each : named_arguments(*statement_, file_.escape)) {
            global_names_.insert(each.name);
            if (each.value)
                defaults_[each.name] = expand_for_lint(*each.value, file_.escape, defaults_).text;
            if (const auto given = facts_.build_args.find(each.name);
                given != facts_.build_args.end())
                globals_[each.name] = given->second;
            else if (each.value)
                globals_[each.name] = expand_for_lint(*each.value, file_.escape, globals_).text;
        }
    }

    // --- FROM

    void begin_stage() {
        const FromArguments from = from_arguments(*statement_);
        check_stage_name(from);
        const std::string base = check_base(from);
        check_platform(lower(from.stage));
        keep_scope();
        enter(base);
        stage_ = lower(from.stage);
    }

    void keep_scope() {
        if (scope_ && !stage_.empty() && scopes_.size() < most_lint_stages)
            scopes_[stage_] = *scope_;
        if (!stage_.empty()) stage_names_.insert(stage_);
    }

    void check_stage_name(const FromArguments& from) {
        if (from.stage.empty()) return;
        const std::string name = lower(from.stage), &written = statement_->written;
        if (from.stage != name)
            warn("StageNameCasing", str("Stage name '", from.stage, "' should be lowercase"));
        const bool fits = is_lower(written)   ? is_lower(from.as)
                          : is_upper(written) ? is_upper(from.as)
                                              : true;  // FROM's own casing is another rule's
        if (!fits)
            warn("FromAsCasing",
                 str("'", from.as, "' and '", written, "' keywords' casing do not match"));
        if (name == "scratch" || name == "context")
            warn("ReservedStageName",
                 str("Stage name should not use the same name as reserved stage ", quoted(name)));
        if (stage_names_.contains(name) || name == stage_)
            warn("DuplicateStageName",
                 str("Duplicate stage name ", quoted(name), ", stage names should be unique"));
    }

    std::string check_base(const FromArguments& from) {
        try {
            parse_reference(expand_for_lint(from.base, file_.escape, defaults_).text);
        } catch (const Error&) {
            warn("InvalidDefaultArgInFrom", str("Default value for ARG ", from.base,
                                                " results in empty or invalid base image name"));
        }
        const LintWord base = expand_for_lint(from.base, file_.escape, globals_);
        report_undeclared(base);
        return base.text;
    }

    void report_undeclared(const LintWord& expansion) {
        for (const std::string& name : expansion.unset) {
            if (global_names_.contains(name)) continue;
            const std::string meant = nearest_name(name, global_names_);
            warn("UndefinedArgInFrom",
                 str("FROM argument '", name, "' is not declared",
                     meant.empty() ? "" : str(" (did you mean ", meant, "?)")));
        }
    }

    void check_platform(const std::string& stage) {
        const std::string* written = statement_->flag("platform");
        if (!written || written->empty()) return;
        const LintWord platform = expand_for_lint(*written, file_.escape, globals_);
        report_undeclared(platform);
        if (platform.set == std::set<std::string>{"TARGETPLATFORM"} && platform.unset.empty() &&
            platform.text == globals_["TARGETPLATFORM"])
            warn("RedundantTargetPlatform",
                 str("Setting platform to predefined ", *written,
                     " in FROM is redundant as this is the default behavior"));
        if (!platform.set.empty() || !platform.unset.empty()) return;
        const auto meant = platform_if_any(platform.text);
        if (meant && !stage.contains(meant->os) && !stage.contains(meant->architecture))
            warn("FromPlatformFlagConstDisallowed",
                 str("FROM --platform flag should not use constant value ", quoted(platform.text)));
    }

    // What the stage begins with: another one's variables, an image's, or nobody knows which.
    void enter(const std::string& base) {
        scope_.emplace();
        const auto stage = scopes_.find(lower(base));
        if (stage != scopes_.end() && copied_ < most_copied) {
            copied_ += stage->second.variables.size();
            *scope_ = stage->second;
            scope_->declared.clear(), scope_->last.clear();
            return;
        }
        scope_->set("PATH", "");
        scope_->knows_base = base == "scratch";
        if (base == "scratch" || stage_names_.contains(lower(base)) || !facts_.image) return;
        const auto image = facts_.image(base);
        if (!image) return;
        scope_->knows_base = true;
        for (const spec::Variable& each : image->config.env)
            scope_->set(std::string(each.name()), std::string(each.value()));
        scope_->has_shell = !image->config.shell.empty();
        check_image(base, *image);
    }

    void check_image(const std::string& base, const spec::ImageConfig& image) {
        const std::string* asked = statement_->flag("platform");
        const std::string wanted =
            asked ? expand_for_lint(*asked, file_.escape, globals_).text : facts_.platform;
        const auto platform = platform_if_any(wanted);
        if (!platform || (platform->os == image.os && platform->architecture == image.architecture))
            return;
        warn("InvalidBaseImagePlatform",
             str("Base image ", base, " was pulled with platform ",
                 quoted(image.os + "/" + image.architecture), ", expected ",
                 quoted(platform->os + "/" + platform->architecture), " for current build"));
    }

    const Dockerfile& file_;
    const LintFacts& facts_;
    LintFindings findings_;

    LintVariables globals_, defaults_;  // of FROM: as asked for, and if nothing were
    std::set<std::string> global_names_;
    std::set<std::string> stage_names_;        // that were read
    std::map<std::string, LintScope> scopes_;  // of them, by their names
    size_t copied_ = 0;                        // variables from one to another
    std::string stage_;               // the name of the one that is read, "" if it has none
    std::optional<LintScope> scope_;  // of that; nothing before the first FROM

    const Statement* statement_ = nullptr;
    const LintStages stages_{.escape = file_.escape, .facts = facts_, .globals = globals_};
};

}  // namespace

LintResult lint(const Dockerfile& file, const LintFacts& facts) {
    return Linter(file, facts).run();
}
