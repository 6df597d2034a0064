// What is hard: what a target needs is found from its end: the stage that it is made of, those that
// it copies from or mounts, and theirs; but what is shown is in the order of the file.
#include "builder/language/outline.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "builder/language/arguments.h"
#include "builder/language/lint_scope.h"
#include "builder/language/run_mount.h"

namespace {

// "# NAME what it is for"
std::string description_of(const Statement& statement, const std::string& name) {
    for (const std::string& comment : statement.comments)
        if (!name.empty() && comment.starts_with(name + " "))
            return comment.substr(name.size() + 1);
    return {};
}

struct StagePart {
    std::string name;           // lower case
    size_t begin = 0, end = 0;  // its statements, FROM first
};

std::vector<StagePart> stage_parts(const Dockerfile& file) {
    std::vector<StagePart> out;
    for (size_t i = 0; i < file.statements.size(); ++i) {
        if (file.statements[i].keyword == "FROM")
            out.push_back({lower(from_arguments(file.statements[i]).stage), i, i});
        if (!out.empty()) out.back().end = i + 1;
    }
    return out;
}

OutlineTarget target_of(const Dockerfile& file, const StagePart& stage, bool is_default) {
    return {stage.name, description_of(file.statements[stage.begin], stage.name), is_default};
}

class Outliner {
public:
    Outliner(const Dockerfile& file, const std::map<std::string, std::string>& build_args)
        : file_(file), given_(build_args), stages_(stage_parts(file)) {
        for (size_t i = 0; i < stages_.size(); ++i) {
            if (!stages_[i].name.empty()) places_[stages_[i].name] = i;
            places_.try_emplace(std::to_string(i), i);
        }
    }

    Outline outline(const std::string& target) {
        const size_t wanted = find(target);
        read_globals();
        for (const size_t i : needed_by(wanted)) read_stage(stages_[i]);
        out_.target = target_of(file_, stages_[wanted], wanted + 1 == stages_.size());
        return std::move(out_);
    }

private:
    size_t find(const std::string& target) const {
        if (stages_.empty()) throw Error("no build stage in current context");
        if (target.empty()) return stages_.size() - 1;
        const auto found = places_.find(lower(target));
        if (found == places_.end())
            throw Error("target stage ", quoted(target), " could not be found");
        return found->second;
    }

    const Statement& statement(size_t i) const { return file_.statements[i]; }

    // --- what a target needs

    std::set<size_t> needed_by(size_t target) {
        std::set<size_t> needed;
        std::vector<size_t> ahead{target};
        while (!ahead.empty()) {
            const size_t stage = ahead.back();
            ahead.pop_back();
            if (!needed.insert(stage).second) continue;
            for (const std::string& source : sources_of_stage(stages_[stage])) {
                const auto found = places_.find(lower(source));
                if (found != places_.end() && found->second < stage) ahead.push_back(found->second);
            }
        }
        return needed;
    }

    std::vector<std::string> sources_of_stage(const StagePart& stage) {
        std::vector<std::string> out{
            expand_for_lint(from_arguments(statement(stage.begin)).base, file_.escape, globals_)
                .text};
        for (size_t i = stage.begin; i < stage.end; ++i)
            for (const auto& [flag, value] : statement(i).flags) {
                if (flag == "from") out.push_back(value);
                if (flag == "mount") out.push_back(run_mount_from(value));
            }
        return out;
    }

    // --- what is in it

    void read_globals() {
        const size_t end = stages_.empty() ? 0 : stages_[0].begin;
        for (size_t i = 0; i < end; ++i)
            if (statement(i).keyword == "ARG")
                for (const NamedArgument& each : named_arguments(statement(i), file_.escape))
                    add_global(statement(i), each);
    }
    void add_global(const Statement& at, const NamedArgument& argument) {
        const auto value = value_of(argument, globals_);
        if (value) globals_[argument.name] = *value;
        described_[argument.name] = {argument.name, value.value_or(""),
                                     description_of(at, argument.name)};
    }

    std::optional<std::string> value_of(const NamedArgument& argument,
                                        const LintVariables& variables) const {
        if (const auto given = given_.find(argument.name); given != given_.end())
            return given->second;
        if (!argument.value) return {};
        return expand_for_lint(*argument.value, file_.escape, variables).text;
    }

    void read_stage(const StagePart& stage) {
        const Statement& from = statement(stage.begin);
        use_globals(from_arguments(from).base);
        if (const std::string* platform = from.flag("platform")) use_globals(*platform);
        LintVariables variables;
        for (size_t i = stage.begin + 1; i < stage.end; ++i) {
            if (statement(i).keyword == "ARG") read_arguments(statement(i), variables);
            if (statement(i).keyword == "RUN") read_mounts(statement(i), variables);
        }
    }

    void use_globals(const std::string& word) {
        for (const std::string& name : expand_for_lint(word, file_.escape, globals_).set)
            if (const auto found = described_.find(name); found != described_.end())
                add(found->second);
    }

    void read_arguments(const Statement& at, LintVariables& variables) {
        for (const NamedArgument& each : named_arguments(at, file_.escape)) {
            auto value = value_of(each, variables);
            OutlineArgument argument{each.name, "", description_of(at, each.name)};
            if (const auto global = described_.find(each.name); global != described_.end()) {
                if (!value) value = global->second.value;
                if (argument.description.empty()) argument.description = global->second.description;
            }
            if (value) argument.value = variables[each.name] = *value;
            add(argument);
        }
    }

    void add(const OutlineArgument& argument) {
        if (seen_.insert(argument.name).second) out_.arguments.push_back(argument);
    }

    void read_mounts(const Statement& run, const LintVariables& variables) {
        for (const auto& [flag, value] : run.flags) {
            if (flag != "mount") continue;
            const auto expand_value = [&](std::string_view word) {
                return expand_for_lint(word, file_.escape, variables).text;
            };
            const RunMount mount = parse_run_mount(value, expand_value);
            if (mount.type == RunMount::Type::secret) add_to(out_.secrets, mount);
            if (mount.type == RunMount::Type::ssh) add_to(out_.agents, mount);
        }
    }
    static void add_to(std::vector<OutlineSecret>& list, const RunMount& mount) {
        const auto known = std::ranges::find(list, mount.id, &OutlineSecret::id);
        if (known == list.end())
            list.push_back({mount.id, mount.required});
        else
            known->required = known->required || mount.required;
    }

    const Dockerfile& file_;
    const std::map<std::string, std::string>& given_;
    const std::vector<StagePart> stages_;
    std::map<std::string, size_t> places_;  // of stages, by names and numbers
    LintVariables globals_;
    std::map<std::string, OutlineArgument> described_;  // those before the first FROM
    std::set<std::string> seen_;
    Outline out_;
};

}  // namespace

std::vector<OutlineTarget> outline_targets(const Dockerfile& file) {
    const std::vector<StagePart> stages = stage_parts(file);
    std::vector<OutlineTarget> out;
    for (const StagePart& stage : stages)
        out.push_back(target_of(file, stage, &stage == &stages.back()));
    return out;
}

Outline outline_of(const Dockerfile& file, const std::string& target,
                   const std::map<std::string, std::string>& build_args) {
    return Outliner(file, build_args).outline(target);
}
