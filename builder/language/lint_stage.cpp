// What is hard: which words of an instruction are expanded is its own business: RUN's, CMD's and
// ENTRYPOINT's are the shell's, EXPOSE's are several words each, a heredoc's have no quotes.
#include "builder/language/lint_stage.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "builder/language/arguments.h"
#include "builder/language/run_mount.h"
#include "image/layer/rules.h"

namespace {

// Whether a name says that its value is to be kept secret, by one of its words.
bool sounds_secret(const std::string& name) {
    constexpr std::string_view telling[] = {"apikey", "auth",   "credential", "credentials",
                                            "key",    "passwd", "password",   "psw",
                                            "pword",  "secret", "token"};
    constexpr std::string_view harmless[] = {"file", "public", "version"};
    bool tells = false;
    for (const std::string& word : split(lower(name), '_')) {
        if (std::ranges::find(harmless, word) != std::end(harmless)) return false;
        tells = tells || std::ranges::find(telling, word) != std::end(telling);
    }
    return tells;
}

bool is_remote(const std::string& source) {
    return source.contains("://") || source.starts_with("git@");
}

class StatementLinter {
public:
    StatementLinter(const Statement& statement, const LintStages& stages, LintScope& scope,
                    LintFindings& findings)
        : statement_(statement), stages_(stages), scope_(scope), findings_(findings) {}

    void run() {
        using Visit = void (StatementLinter::*)();
        static constexpr std::pair<std::string_view, Visit> visits[] = {
            {"ADD", &StatementLinter::copy},           {"ARG", &StatementLinter::argument},
            {"CMD", &StatementLinter::command},        {"COPY", &StatementLinter::copy},
            {"ENTRYPOINT", &StatementLinter::command}, {"ENV", &StatementLinter::environment},
            {"EXPOSE", &StatementLinter::ports},       {"HEALTHCHECK", &StatementLinter::only_once},
            {"LABEL", &StatementLinter::labels},       {"RUN", &StatementLinter::mounts},
            {"SHELL", &StatementLinter::shell},        {"STOPSIGNAL", &StatementLinter::one_word},
            {"USER", &StatementLinter::one_word},      {"VOLUME", &StatementLinter::paths},
            {"WORKDIR", &StatementLinter::directory},
        };
        for (const auto& [keyword, visit] : visits)
            if (keyword == statement_.keyword) (this->*visit)();
        report_unset();
    }

private:
    void warn(std::string_view rule, const std::string& detail) {
        findings_.warn(statement_, rule, detail);
    }

    std::string expanded(std::string_view word) {
        LintWord out = expand_for_lint(word, stages_.escape, scope_.variables);
        unset_.merge(out.unset);
        return out.text;
    }

    // Of the whole statement: one that is looked up twice is told once.
    void report_unset() {
        for (const std::string& name : unset_) {
            if (scope_.declared.contains(name) || name.starts_with("BUILDKIT_SBOM_SCAN_")) continue;
            std::string meant = nearest_name(name, scope_.variables);
            if (meant == name) meant.clear();  // it is there from this statement on
            if (meant.empty() && !scope_.knows_base) continue;
            warn("UndefinedVar", str("Usage of undefined variable '$", name, "'",
                                     meant.empty() ? "" : str(" (did you mean $", meant, "?)")));
        }
    }

    void argument() {
        for (const NamedArgument& each : named_arguments(statement_, stages_.escape)) {
            check_secret("ARG", each.name);
            std::optional<std::string> value;
            if (each.value)
                value = expanded(*each.value);
            else if (const auto global = stages_.globals.find(each.name);
                     global != stages_.globals.end())
                value = global->second;
            if (const auto given = stages_.facts.build_args.find(each.name);
                given != stages_.facts.build_args.end())
                value = given->second;
            scope_.declared.insert(each.name);
            if (value) scope_.set(each.name, *value);
        }
    }

    void check_secret(std::string_view instruction, const std::string& name) {
        if (sounds_secret(name))
            warn("SecretsUsedInArgOrEnv",
                 str("Do not use ARG or ENV instructions for sensitive data (", instruction, " ",
                     quoted(name), ")"));
    }

    LintVariables pairs() {
        const NamedValues named = named_values(statement_, stages_.escape);
        if (named.old_form)
            warn("LegacyKeyValueFormat",
                 str("\"", statement_.written, " key=value\" should be used instead of legacy \"",
                     statement_.written, " key value\" format"));
        LintVariables out;  // all with the values from before
        for (const auto& [name, value] : named.values) out[expanded(name)] = expanded(value);
        return out;
    }
    void labels() { pairs(); }
    void environment() {
        for (auto& [name, value] : pairs()) {
            check_secret("ENV", name);
            scope_.set(name, value);
        }
    }

    void only_once() {
        const Statement*& last = scope_.last[statement_.keyword];
        if (last)  // which is the one that has no effect
            findings_.warn(
                *last, "MultipleInstructionsDisallowed",
                str("Multiple ", statement_.written,
                    " instructions should not be used in the same stage because only the last "
                    "one will be used"));
        last = &statement_;
    }
    void command() {
        only_once();
        if (!statement_.is_json && !scope_.has_shell)
            warn("JSONArgsRecommended",
                 str("JSON arguments recommended for ", statement_.written,
                     " to prevent unintended behavior related to OS signals"));
    }
    void shell() { scope_.has_shell = true; }

    void one_word() { expanded(statement_.rest); }
    void paths() {
        for (const std::string& path : path_arguments(statement_)) expanded(path);
    }
    void directory() {
        const std::string path = expanded(statement_.rest);
        if (!scope_.has_workdir && !path.starts_with('/'))
            warn("WorkdirRelativePath",
                 str("Relative workdir ", quoted(path),
                     " can have unexpected results if the base image changes"));
        scope_.has_workdir = true;
    }

    void ports() {
        std::vector<std::string> words;
        try {
            words = expand_words(statement_.rest, stages_.escape,
                                 lookup_in(scope_.variables, nullptr, nullptr));
        } catch (const Error&) {  // told by the build
        }
        for (const std::string& word : words) {
            const size_t slash = std::min(word.find('/'), word.size());
            if (word.substr(slash) != lower(word.substr(slash)))
                warn("ExposeProtoCasing", str("Defined protocol '", word,
                                              "' in EXPOSE instruction should be lowercase"));
            if (word.substr(0, slash).contains(':'))
                warn("ExposeInvalidFormat",
                     str("EXPOSE instruction should not define an IP address or host-port mapping, "
                         "found '",
                         word, "'"));
        }
    }

    void mounts() {
        for (const auto& [flag, value] : statement_.flags) {
            if (flag != "mount") continue;
            try {
                parse_run_mount(value, [this](std::string_view word) { return expanded(word); });
            } catch (const Error&) {  // told by the build
            }
        }
    }

    void copy() {
        for (const char* flag : {"chown", "chmod", "checksum"})
            if (const std::string* value = statement_.flag(flag)) expanded(*value);
        std::vector<std::string> words = path_arguments(statement_);
        if (words.empty()) return;
        const std::string destination = std::move(words.back());
        words.pop_back();
        for (const std::string& word : words) check_source(expanded(word));
        expanded(destination);
        for (const Heredoc& heredoc : statement_.heredocs)
            if (heredoc.expand) expand_inside(heredoc.content);
    }
    void expand_inside(const std::string& content) {
        try {
            expand_heredoc(content, lookup_in(scope_.variables, nullptr, &unset_));
        } catch (const Error&) {  // told by the build
        }
    }

    // Where an exception could bring back what is below, nothing is said.
    void check_source(const std::string& source) {
        const IgnoreRules* rules = stages_.facts.ignored;
        if (!rules || rules->has_exceptions() || statement_.flag("from") || is_remote(source) ||
            source.starts_with("<<"))
            return;
        const std::string path = clean_path(source);
        if (path.empty() ? !rules->ignores_all() : !rules->ignores(path)) return;
        warn("CopyIgnoredFile",
             str("Attempting to ", statement_.keyword == "ADD" ? "Add" : "Copy", " file ",
                 quoted(path.empty() ? "." : path), " that is excluded by .dockerignore"));
    }

    const Statement& statement_;
    const LintStages& stages_;
    LintScope& scope_;
    LintFindings& findings_;
    std::set<std::string> unset_;  // what the statement uses and is not there
};

}  // namespace

void lint_statement(const Statement& statement, const LintStages& stages, LintScope& scope,
                    LintFindings& findings) {
    StatementLinter(statement, stages, scope, findings).run();
}
