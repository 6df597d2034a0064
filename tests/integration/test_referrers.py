"""What refers to an image by its subject: who lists it, how it is noted where nobody does, and that a copy takes it along."""
import json
import unittest

from archives import MANIFEST, sha
from keg import needs, run
from registries import INDEX, answer, lie
from test_registry import DebianCase, RegistryCase

EMPTY = "application/vnd.oci.empty.v1+json"
SBOM = "application/vnd.example.sbom"
SIGNATURE = "application/vnd.example.signature"


def tag_of(digest):
    return digest.replace(":", "-")


def entry_of(text, media_type=MANIFEST, **more):
    return {"mediaType": media_type, "digest": "sha256:" + sha(text), "size": len(text), **more}


class ReferrerCase(RegistryCase):
    def setUp(self):
        super().setUp()
        self.there = self.registry(referrers=2)
        self.image_in(self.there, "app")
        self.text = self.there.manifests["app", "1"][1]
        self.digest = "sha256:" + sha(self.text)

    def refer(self, content, kind=SBOM, subject=None, registry=None, name="app", **more):
        """A document in a registry that refers to the image, or to another subject; gives its text."""
        registry, subject = registry or self.there, subject or self.text
        for blob in (b"{}", content):
            registry.put_blob(name, blob)
        text = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": entry_of(b"{}", EMPTY),
                           "layers": [entry_of(content, "text/plain")], "subject": entry_of(subject), **more}).encode()
        registry.manifests[name, "sha256:" + sha(text)] = (MANIFEST, text)
        return text

    def copy(self, source, target, *words):
        return self.keg("copy", "-q", "--referrers", *words, source, target)

    def listed(self, registry, digest=None, name="app"):
        """What the tag says that refers to the image."""
        media_type, text = registry.manifests[name, tag_of(digest or self.digest)]
        self.assertEqual(media_type, INDEX)
        return json.loads(text)["manifests"]

    def assert_there(self, registry, *texts, name="app"):
        for text in texts:
            self.assertEqual(registry.manifests[name, "sha256:" + sha(text)][1], text)
            for blob in json.loads(text)["layers"]:
                self.assertIn((name, blob["digest"]), registry.places)


class Copies(ReferrerCase):
    def test_a_registry_without_the_api_gets_a_list_under_a_tag(self):
        other = self.registry()
        sbom = self.refer(b"a list", annotations={"made": "today"})
        signature = self.refer(b"a signature", SIGNATURE)
        for _ in range(2):   # and an entry once
            self.copy(f"docker://{self.there.host}/app:1", f"docker://{other.host}/app:1")
            self.assert_there(other, sbom, signature)
            self.assertCountEqual(self.listed(other), [entry_of(sbom, artifactType=SBOM, annotations={"made": "today"}),
                                                       entry_of(signature, artifactType=SIGNATURE)])

    def test_a_list_under_a_tag_is_read_and_a_registry_with_the_api_gets_none(self):
        other, third = self.registry(), self.registry(referrers=9)
        texts = [self.refer(bytes([i])) for i in range(5)]   # three pages
        self.copy(f"docker://{self.there.host}/app:1", f"docker://{other.host}/app:1")
        self.assertEqual(len(self.listed(other)), 5)
        self.copy(f"docker://{other.host}/app:1", f"docker://{third.host}/app:1")
        self.assert_there(third, *texts)
        self.assertNotIn(("app", tag_of(self.digest)), third.manifests)

    def test_what_refers_to_it_is_there_before_the_image_has_its_name(self):
        other = self.registry()
        self.refer(b"a signature", SIGNATURE)
        self.copy(f"docker://{self.there.host}/app:1", f"docker://{other.host}/app:1")
        put = [line.rsplit("/", 1)[1] for line in other.asked("PUT") if "/manifests/" in line]
        self.assertEqual((put[1], put[-1]), (tag_of(self.digest), "1"))

    def test_without_the_option_an_image_goes_alone(self):
        other = self.registry()
        self.refer(b"a list")
        self.keg("copy", "-q", f"docker://{self.there.host}/app:1", f"docker://{other.host}/app:1")
        self.assertEqual({reference for _, reference in other.manifests}, {"1", self.digest})

    def test_what_refers_to_a_referrer_comes_along(self):
        other = self.registry()
        sbom = self.refer(b"a list")
        signature = self.refer(b"a signature of it", SIGNATURE, subject=sbom)
        self.copy(f"docker://{self.there.host}/app:1", f"docker://{other.host}/app:1")
        self.assert_there(other, sbom, signature)
        self.assertEqual([each["digest"] for each in self.listed(other, "sha256:" + sha(sbom))], ["sha256:" + sha(signature)])

    def test_what_refers_to_an_image_of_an_index_goes_with_the_index(self):
        other = self.registry()
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            entry_of(self.text, platform={"os": "linux", "architecture": "amd64"})]}).encode()
        for reference in ("all", "sha256:" + sha(index)):
            self.there.manifests["app", reference] = (INDEX, index)
        signature, sbom = self.refer(b"of the index", SIGNATURE, subject=index), self.refer(b"of the image")
        self.copy(f"docker://{self.there.host}/app:all", f"docker://{other.host}/one:1", "--platform", "linux/amd64")
        self.assert_there(other, sbom, name="one")
        self.assertNotIn(("one", "sha256:" + sha(signature)), other.manifests)
        self.copy(f"docker://{self.there.host}/app:all", f"docker://{other.host}/app:all", "--all")
        self.assert_there(other, sbom, signature)

    def test_the_store_and_a_layout_keep_what_refers_to_an_image(self):
        texts = [self.refer(b"a list"), self.refer(b"a signature", SIGNATURE)]
        for way in ("store:here/app:1", f"oci:{self.dir}/layout:app"):
            self.copy(f"docker://{self.there.host}/app:1", way)
            self.keg("image", "prune", "-f")
            other = self.registry()
            self.copy(way, f"docker://{other.host}/app:1")
            self.assert_there(other, *texts)
            self.assertEqual(len(self.listed(other)), 2)
        # Without a name the image is found, not what refers to it.
        self.keg("copy", "-q", f"oci:{self.dir}/layout", "store:from/layout")
        self.assertEqual(self.keg("system", "check").stderr, "")
        self.assertEqual(self.keg("images").stderr, "")

    def test_places_for_one_image_say_so(self):
        self.refer(b"a list")
        for way in (f"dir:{self.dir}/dir", f"docker-archive:{self.dir}/x.tar", f"oci-archive:{self.dir}/y.tar"):
            self.fails("copy", "-q", "--referrers", f"docker://{self.there.host}/app:1", way,
                       says=f"{way} holds one image, and nothing that refers to it")
        self.fails("copy", "-q", "--referrers", "--compression=zstd", f"docker://{self.there.host}/app:1", f"oci:{self.dir}/z",
                   says="the digests cannot stay")


class Lies(ReferrerCase):
    def test_what_does_not_say_itself_that_it_refers_to_the_image_stays(self):
        other, elsewhere = self.registry(), self.registry()
        self.image_in(elsewhere, "app")
        stranger = self.refer(b"of another image", subject=b"another image", registry=elsewhere)
        honest = self.refer(b"a list", registry=elsewhere)
        listed = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry_of(stranger), entry_of(honest)]}).encode()
        elsewhere.manifests["app", tag_of(self.digest)] = (INDEX, listed)
        said = self.copy(f"docker://{elsewhere.host}/app:1", f"docker://{other.host}/app:1").stderr
        self.assertIn(f"is left out: sha256:{sha(stranger)} refers to something else", said)
        self.assertEqual([each["digest"] for each in self.listed(other)], ["sha256:" + sha(honest)])

    def test_what_cannot_be_told_is_an_error_and_not_nothing(self):
        other = self.registry()
        self.refer(b"a signature", SIGNATURE)
        page = answer(200, {"Content-Type": "text/html"}, b"<html>log in</html>")
        denied = answer(403, {}, b'{"errors":[{"code":"DENIED","message":"not for you"}]}')
        doing = f"listing what refers to {self.there.host}/app@{self.digest}: "
        for faults, says in (([("/referrers/", denied)], ("denied: not for you", "status 403")),
                             ([("/referrers/", answer(404)), ("/manifests/sha256-", denied)], ("denied: not for you", "status 403")),
                             ([("/referrers/", page), ("/manifests/sha256-", page)], "a page of type text/html"),
                             ([("/referrers/", lie(body=b'{"schemaVersion":2,"manifests":[{"mediaType":"x"}]}'))], "manifests[0].digest: invalid digest"),
                             ([("/referrers/", lie(headers={"Link": '<?last=0>; rel="next"'}))] * 1001, "the list has no end")):
            for text, fault in faults:
                self.there.fail("GET", text, fault)
            self.fails("copy", "-q", "--referrers", f"docker://{self.there.host}/app:1", f"docker://{other.host}/app:1",
                       says=(doing, *((says,) if isinstance(says, str) else says)))
            self.there.faults.clear()
        self.assertEqual(other.manifests, {})

    def test_a_registry_that_knows_nothing_of_them_has_none(self):
        elsewhere, other = self.registry(), self.registry()
        self.image_in(elsewhere, "app")
        for status in (400, 404, 405):
            elsewhere.fail("GET", "/referrers/", answer(status))
            self.copy(f"docker://{elsewhere.host}/app:1", f"docker://{other.host}/app:{status}")
        # What has the tag, but is no list, lists nothing.
        elsewhere.manifests["app", tag_of(self.digest)] = elsewhere.manifests["app", "1"]
        self.copy(f"docker://{elsewhere.host}/app:1", f"docker://{other.host}/app:1")
        self.assertNotIn(("app", tag_of(self.digest)), other.manifests)

    def test_who_notes_a_referrer_at_the_same_time_is_not_written_over(self):
        other = self.registry()
        sbom, theirs = self.refer(b"a list"), entry_of(b"by somebody else")

        def somebody_is_faster(request):
            request.body()
            other.manifests["app", tag_of(self.digest)] = (
                INDEX, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [theirs]}).encode())
            request.refuse(412, "MANIFEST_INVALID")
        other.fail("PUT", "/manifests/sha256-", somebody_is_faster)
        other.manifests["app", theirs["digest"]] = (MANIFEST, b"by somebody else")
        self.copy(f"docker://{self.there.host}/app:1", f"docker://{other.host}/app:1")
        self.assertEqual([each["digest"] for each in self.listed(other)], [theirs["digest"], "sha256:" + sha(sbom)])

    def test_a_tag_that_lists_nothing_is_not_written_over(self):
        other = self.registry()
        self.refer(b"a list")
        self.image_in(other, "app")
        other.manifests["app", tag_of(self.digest)] = other.manifests["app", "1"]
        self.fails("copy", "-q", "--referrers", f"docker://{self.there.host}/app:1", f"docker://{other.host}/app:2",
                   says=(f"noting what refers to {other.host}/app@{self.digest}", "what has their tag is no list of them"))
        self.assertNotIn(("app", "2"), other.manifests)


@needs("docker-registry")
class Others(ReferrerCase, DebianCase):
    @needs("skopeo")
    def test_debians_registry_keeps_what_refers_to_an_image(self):
        host = self.serve()
        texts = [self.refer(b"a list"), self.refer(b"a signature", SIGNATURE)]
        self.copy(f"docker://{self.there.host}/app:1", f"docker://{host}/lib/app:1")
        tag = f"docker://{host}/lib/app:{tag_of(self.digest)}"
        listed = json.loads(run("skopeo", "inspect", "--raw", "--tls-verify=false", tag).stdout)["manifests"]
        self.assertCountEqual([each["digest"] for each in listed], ["sha256:" + sha(text) for text in texts])
        other = self.registry()
        self.copy(f"docker://{host}/lib/app:1", f"docker://{other.host}/app:1")
        self.assert_there(other, *texts)


if __name__ == "__main__":
    unittest.main()
