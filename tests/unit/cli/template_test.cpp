// Proves that a --format means what it means to Go's templates: what is true, what is printed for a
// null, where blanks go. What it cannot mean must be an error: a wrong text would look right.
#include "cli/template.h"

#include "tests/unit/catch.h"

namespace {

std::string rendered(const std::string& text, const char* data) {
    return Template(text).render(json::parse(data));
}

std::string error_of(const std::string& text, const char* data) {
    try {
        return "rendered " + rendered(text, data);
    } catch (const Error& e) {
        return e.what();
    }
}

}  // namespace

TEST_CASE("templates are Go's") {
    static constexpr auto data =
        R"({"Name":"web","Ports":[80,443],"State":{"Pid":7,"Running":true},"Env":["A=1","B=2"],
        "Map":{"b":"2","a":"1"},"Empty":"","Nothing":null,"Zero":0,"Labels":"k=v,x=y=z"})";
    struct {
        const char *text, *want;
    } cases[] = {
        {"plain", "plain"},
        {"{{.Name}}:{{ .State.Pid }}", "web:7"},
        {"{{json .Ports}}", "[80,443]"},
        {"{{.Ports}} {{.Map}} {{.Nothing}}", "[80 443] map[a:1 b:2] <no value>"},
        {R"(a\tb\n)", "a\tb\n"},
        {"{{if .State.Running}}up{{else}}down{{end}}", "up"},
        {"{{if .Empty}}a{{else if eq .Zero 0}}b{{else}}c{{end}}", "b"},
        {"{{range .Ports}}<{{.}}>{{else}}none{{end}}", "<80><443>"},
        {"{{range $i, $p := .Ports}}{{$i}}={{$p}} {{end}}", "0=80 1=443 "},
        {"{{range $k, $v := .Map}}{{$k}}{{$v}}{{end}}", "a1b2"},
        {"{{range .Nothing}}x{{else}}none{{end}}", "none"},
        {"{{with .State}}{{.Pid}} {{$.Name}}{{end}}", "7 web"},
        {"{{$x := .Name}}{{$x}}{{$x | upper}}", "webWEB"},
        {"{{index .Map \"a\"}} {{index .Ports 1}} {{(index .Ports 0)}}", "1 443 80"},
        {"{{join .Env \", \"}} {{len .Env}} {{index (split .Name \"e\") 1}}", "A=1, B=2 2 b"},
        {"{{printf \"%s-%d-%q\" .Name .State.Pid .Name}}", "web-7-\"web\""},
        {"{{title .Name}} {{pad .Name 1 2}}| {{truncate .Name 2}} {{lower \"X\"}}",
         "Web  web  | we x"},
        {"{{and .Name .Zero}} {{or .Empty .Name}} {{not .Zero}}", "0 web true"},
        {"{{eq .Name \"a\" \"web\"}} {{ne .Zero 1}} {{lt .Zero 1}} {{ge 2 2}}",
         "true true true true"},
        {"a {{- .Name -}} b {{/* nothing */}}c", "awebb c"},
        {"{{.Label \"x\"}} {{.Label \"none\"}}|", "y=z |"},
        {"{{println .Name}}{{print `a\"b`}}", "web\na\"b"},
    };
    for (auto& [text, want] : cases) {
        CAPTURE(text);
        CHECK(error_of(text, data) == std::string("rendered ") + want);
    }
}

TEST_CASE("what a template cannot mean is an error that says so") {
    struct {
        std::string text;
        const char* why;
    } cases[] = {
        {"{{.Foo}}", "template parsing error: map has no entry for key \"Foo\""},
        {"{{.Name.Foo}}", "can't evaluate field Foo"},
        {"{{", "unclosed action"},
        {"{{}}", "missing value for command"},
        {"{{if .Name}}", "unexpected EOF"},
        {"{{end}}", "unexpected {{end}}"},
        {"{{nosuch .Name}}", "function \"nosuch\" not defined"},
        {"{{$x}}", "undefined variable"},
        {"{{\"a}}", "unterminated quoted string"},
        {"{{range .Name}}{{end}}", "can't iterate"},
        {"{{upper}}", "wrong number of args"},
        {"{{index .Name 1}}", "cannot index"},
        {"{{" + std::string(500, '(') + "}}", "too deeply nested"},
    };
    for (auto& [text, why] : cases) {
        CAPTURE(text);
        CHECK_THAT(error_of(text, R"({"Name":"web"})"), ContainsSubstring(why));
    }
}

TEST_CASE("a value cannot steer a terminal, nor leave its cell of a table") {
    constexpr auto data = R"({"By":"a\u001b[2Jb\tc\nd\u009b","List":["x\u0007"]})";
    CHECK(rendered("\\t{{.By}}", data) == "\ta\\x1b[2Jb\tc\nd\\u009b");
    CHECK(rendered("{{println .List}}", data) == "[x\\a]\n");
    CHECK(Template("\\t{{.By}}").render_cells(json::parse(data)) == "\ta\\x1b[2Jb\\tc\\nd\\u009b");
    // JSON says the same in its own way.
    CHECK(json::parse(rendered("{{json .}}", data)) == json::parse(data));
}
