// The checks of a Dockerfile, and what they print of it.
#include "builder/language/lint.h"

#include "builder/language/instructions.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/builder/whole_dockerfile.h"

void take(std::string_view input) {
    const Dockerfile file = parse_dockerfile(input, "Dockerfile");
    check_statements(file, "Dockerfile");
    const IgnoreRules ignored("a*\n");
    const LintResult result = lint(
        file,
        {.build_args = {{"a", "b"}}, .platform = "linux/amd64", .image = {}, .ignored = &ignored});
    for (const LintWarning& warning : result.warnings) {
        expect(warning.line >= 1 && warning.line <= warning.last_line, "a warning has its lines");
        expect(!warning.detail.empty(), "a warning has words");
    }
    const std::string report = lint_report(result.warnings, input, "Dockerfile");
    expect(report.find('\x1b') == std::string::npos, "a terminal is not steered");
    expect(result.warnings.empty() == lint_summary(result.warnings).empty(), "all are told");
}

std::vector<std::string> seeds() {
    return {
        whole_dockerfile,
        "# check=experimental=all\n# about nothing\nFROM a as B\nMAINTAINER me\nCMD x\nCMD y\n"
        "ENV TOKEN x\nWORKDIR a\nEXPOSE 1:80/TCP\nCOPY a $b \\\n\n/\n",
        "ARG x\nFROM --platform=$TARGETPLATFORM a:$x AS scratch\nFROM --platform=arm64 scratch\n"
        "COPY <<EOF /x\n$a\nEOF\nRUN --mount=type=bind,target=$b x\nONBUILD RUN x\n"};
}
