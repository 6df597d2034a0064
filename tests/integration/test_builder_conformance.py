"""The judge of the builder is judged: it finds nothing where nothing differs, and everything that does."""
import io
import subprocess
import sys
import tarfile
import unittest

from keg import KEG, PROJECT, TempCase, needs, needs_root

sys.path.insert(0, str(PROJECT / "conformance/builder"))
import known  # noqa: E402
import trees  # noqa: E402

RUN = PROJECT / "conformance/builder/run"
RANDOM = PROJECT / "conformance/builder/at_random"
CORPUS = next((path for path in (parent / "shared/corpus/builder" for parent in PROJECT.parents) if path.is_dir()), None)
needs_corpus = unittest.skipUnless(CORPUS, "the corpus of Dockerfiles is not beside the checkout")


def layer(*members):
    """An open tar of (name, kind or content or link target)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, *what in members:
            member = tarfile.TarInfo(name)
            kind = what[0] if what else tarfile.DIRTYPE
            if isinstance(kind, str):
                member.size = len(kind)
                archive.addfile(member, io.BytesIO(kind.encode()))
                continue
            member.type, member.mode = kind, 0o755
            member.linkname = what[1] if len(what) > 1 else ""
            archive.addfile(member)
    out.seek(0)
    return out


def tree_of(*layers):
    tree = {}
    for each in layers:
        trees.apply(tree, layer(*each))
    return tree


class Trees(unittest.TestCase):
    def test_a_whiteout_takes_away_what_is_below_it(self):
        tree = tree_of([("a",), ("a/x", "1"), ("b", "2")], [(".wh.a", "")])
        self.assertEqual(set(tree), {"/b"})

    def test_an_opaque_directory_keeps_only_what_its_own_layer_has(self):
        for order in (1, -1):
            tree = tree_of([("a",), ("a/x", "1")], [("a",), *[("a/.wh..wh..opq", ""), ("a/y", "2")][::order]])
            self.assertEqual(set(tree), {"/a", "/a/y"})

    def test_a_file_in_the_place_of_a_directory_hides_all_of_it(self):
        self.assertEqual(set(tree_of([("a",), ("a/x", "1")], [("a", "file")])), {"/a"})
        self.assertEqual(set(tree_of([("a",), ("a/x", "1")], [("a",)])), {"/a", "/a/x"})

    def test_a_hard_link_is_the_file_that_it_names(self):
        tree = tree_of([("a", "1")], [("b", tarfile.LNKTYPE, "a")])
        self.assertEqual(tree["/b"], tree["/a"])


@needs_root
@needs_corpus
@needs("mmdebstrap")
class Judge(TempCase):
    def judge(self, program, *options):
        return subprocess.run([RUN, program, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def test_every_case_is_what_BuildKit_made_of_it_or_has_its_reason(self):
        judged = self.judge(KEG)
        self.assertEqual(judged.returncode, 0, judged.stdout + judged.stderr)

    def test_what_builds_nothing_is_refused(self):
        for program in ("/bin/true", "/bin/false"):
            self.assertNotEqual(self.judge(program, "--only", "conformance/00").returncode, 0, program)

    @needs("buildah")
    def test_Dockerfiles_that_were_drawn_at_random_are_the_same_by_buildah(self):
        drawn = subprocess.run([RANDOM, KEG, "--seed", "1", "--count", "6"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(drawn.returncode, 0, drawn.stdout + drawn.stderr)

    def test_every_known_difference_is_a_case_and_has_its_reason(self):
        names = set()
        for folder in ("bud", "conformance"):
            with tarfile.open(CORPUS / f"{folder}.tar.gz") as archive:
                names |= {"/".join(name.split("/")[:2]) for name in archive.getnames()}
        self.assertEqual(set(known.DIFFERS) - names, set())
        self.assertTrue(all(known.DIFFERS.values()))


if __name__ == "__main__":
    unittest.main()
