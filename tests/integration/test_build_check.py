"""What `keg build --check` says of a Dockerfile, and where it needs nothing but that."""
import os
import unittest

from keg import KEG, StoreCase, TempCase, needs_root, run


class Check(TempCase):
    def check(self, text, *options, name="Dockerfile", check=False, **more):
        context = self.dir / "context"
        context.mkdir(exist_ok=True)
        (context / name).write_text(text)
        return run(KEG, "--root", self.dir / "store", "build", *(() if "--call" in options else ("--check",)), *options, context, check=check, **more)

    def test_a_good_file_has_no_warnings_and_no_store_is_made(self):
        done = self.check("FROM nowhere.example/image\nRUN true\n", check=True)
        self.assertEqual(done.stdout, "Check complete, no warnings found.\n")
        self.assertFalse((self.dir / "store").exists())

    def test_a_warning_is_shown_with_its_lines_and_ends_with_1(self):
        done = self.check("FROM a as b\nCMD x\n")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, """Check complete, 2 warnings have been found!

WARNING: FromAsCasing - https://docs.docker.com/go/dockerfile/rule/from-as-casing/
'as' and 'FROM' keywords' casing do not match
Dockerfile:1
--------------------
   1 | >>> FROM a as b
   2 |     CMD x
   3 |
--------------------

WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/
JSON arguments recommended for CMD to prevent unintended behavior related to OS signals
Dockerfile:2
--------------------
   1 |     FROM a as b
   2 | >>> CMD x
   3 |
--------------------
""")

    def test_a_mistake_is_an_error_as_in_a_build(self):
        done = self.check("FROM a\nRUM x\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Dockerfile:2: unknown instruction: RUM (did you mean RUN?)", done.stderr)

    def test_arguments_may_leave_rules_out(self):
        text = "FROM a as b\n"
        self.check(text, "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=FromAsCasing", check=True)
        self.check(text, "--build-arg", "BUILDKIT_DOCKERFILE_CHECK", check=True,
                   env={**os.environ, "BUILDKIT_DOCKERFILE_CHECK": "skip=all"})
        done = self.check(text, "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip")
        self.assertIn('invalid check option "skip"', done.stderr)

    def test_the_file_may_have_other_names_and_come_by_standard_input(self):
        for name in ("dockerfile", "Containerfile"):
            self.assertEqual(self.check("FROM a as b\n", name=name).stdout.count("WARNING"), 1, name)
            (self.dir / "context" / name).unlink()
        done = run(KEG, "--root", self.dir / "store", "build", "--check", "-", check=False, input="FROM a as b\n")
        self.assertEqual(done.stdout.count("WARNING"), 1, done.stderr)
        done = run(KEG, "build", "--check", "-f", "-", self.dir / "context", check=False, input="FROM a as b\n")
        self.assertEqual(done.stdout.count("WARNING"), 1)

    def test_what_the_context_leaves_out_is_not_there_to_be_copied(self):
        (self.dir / "context").mkdir()
        (self.dir / "context/.dockerignore").write_text("secret\n")
        done = self.check("FROM a\nCOPY secret /x\n")
        self.assertIn('Attempting to Copy file "secret" that is excluded by .dockerignore', done.stdout)
        (self.dir / "context/Dockerfile.dockerignore").write_text("other\n")
        self.check("FROM a\nCOPY secret /x\n", check=True)

    def test_targets_are_listed_with_what_they_are_for(self):
        text = "# base is what all need\nFROM scratch AS base\nFROM base AS app\nFROM app\n"
        done = self.check(text, "--call", "targets", check=True)
        self.assertEqual(done.stdout.splitlines(), ["TARGET      DESCRIPTION", "base        is what all need", "app         ", "(default)   "])

    def test_the_outline_says_what_a_target_takes(self):
        text = """# GO is the compiler's version
ARG GO=1.22
FROM golang:$GO AS base
ARG tags
# app is the program
FROM base AS app
RUN --mount=type=secret,id=token,required --mount=type=ssh true
"""
        done = self.check(text, "--call", "outline", "--build-arg", "tags=net", check=True)
        self.assertEqual(done.stdout, """TARGET:      app
DESCRIPTION: is the program

BUILD ARG   VALUE     DESCRIPTION
GO          1.22      is the compiler's version
tags        net       

SECRET    REQUIRED
token     true

SSH       REQUIRED
default   
""")
        self.assertNotIn("SECRET", self.check(text, "--call", "outline", "--target", "base", check=True).stdout)
        self.assertIn('target stage "none" could not be found', self.check(text, "--call", "outline", "--target", "none").stderr)
        self.assertIn('invalid method "lint" of --call', self.check(text, "--call", "lint").stderr)

    def test_the_file_is_not_followed_out_of_its_context(self):
        (self.dir / "context").mkdir()
        (self.dir / "outside").write_text("FROM a as b\n")
        os.symlink(self.dir / "outside", self.dir / "context/Dockerfile")
        done = run(KEG, "build", "--check", self.dir / "context", check=False)
        self.assertIn("failed to read dockerfile", done.stderr)


@needs_root
class CheckWithStore(StoreCase):
    def test_variables_of_a_base_that_is_there_are_known(self):
        (self.dir / "Dockerfile").write_text("FROM base\nENV a=$HOEM b=$OTHER\n")
        self.keg("config", "-e", "HOME=/root", "-t", "base", "base")
        done = self.keg("build", "--check", self.dir, check=False)
        self.assertIn("Usage of undefined variable '$HOEM' (did you mean $HOME?)", done.stdout)
        self.assertIn("Usage of undefined variable '$OTHER'", done.stdout)


if __name__ == "__main__":
    unittest.main()
