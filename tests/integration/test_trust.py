"""Which images may come here: signatures of cosign and of keg, policy.json, and those who try to get by without them."""
import base64
import json
import os
import subprocess
import unittest

from archives import sha
from keg import PROJECT, needs, needs_root, run
from registries import INDEX, answer
from test_registry import RegistryCase

VECTORS = json.loads((PROJECT / "tests/data/signatures/vectors.json").read_text())
REPOSITORY = {"type": "exactRepository", "dockerRepository": VECTORS["identity"]}
OCI = "application/vnd.oci.image."


def blob(digest):
    data = VECTORS["blobs"][digest]
    return data.encode() if isinstance(data, str) else base64.b64decode(data["base64"])


def put_vector(registry, case, name="keg/tiny"):
    """The image and its signatures, by the tags that they have; gives the digest of the image."""
    tags = VECTORS["cases"][case]

    def put(descriptor):
        data = blob(descriptor["digest"])
        document = json.loads(data)
        for child in document.get("manifests", []):
            put(child)
        for each in [document["config"], *document["layers"]] if "config" in document else []:
            registry.put_blob(name, blob(each["digest"]))
        registry.manifests[name, descriptor["digest"]] = (descriptor["mediaType"], data)
        return descriptor["mediaType"], data

    for tag, descriptor in tags.items():
        registry.manifests[name, tag] = put(descriptor)
    return tags.get("v1", tags.get("multi"))["digest"]


def layout_of(path, case):
    """The same as an image layout."""
    (path / "blobs/sha256").mkdir(parents=True)
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for digest in VECTORS["blobs"]:
        (path / "blobs/sha256" / digest.split(":")[1]).write_bytes(blob(digest))
    entries = [{**descriptor, "annotations": {"org.opencontainers.image.ref.name": tag}} for tag, descriptor in VECTORS["cases"][case].items()]
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    return path


class TrustCase(RegistryCase):
    def setUp(self):
        super().setUp()
        self.there = self.registry()
        self.name = f"{self.there.host}/keg/tiny:v1"
        self.public, self.private = self.keys()

    def keys(self, name="own", kind=("EC", "-pkeyopt", "ec_paramgen_curve:P-256")):
        private, public = self.dir / f"{name}.pem", self.dir / f"{name}.pub"
        run("openssl", "genpkey", "-algorithm", *kind, "-out", private)
        run("openssl", "pkey", "-in", private, "-pubout", "-out", public)
        return public, private

    def vector_key(self, name="key"):
        return self.write(f"vector-{name}.pub", VECTORS["keys"][name].encode())

    def policy(self, *requirements, **transports):
        text = {"default": list(requirements) or [{"type": "reject"}], "transports": {name.replace("_", "-"): scopes for name, scopes in transports.items()}}
        return self.write("policy.json", json.dumps(text).encode())

    def signed(self, key="key", identity=REPOSITORY):
        return {"type": "sigstoreSigned", "keyPath": str(self.vector_key(key)), "signedIdentity": identity}

    def refused(self, *words, says):
        result = self.fails(*words, says=says)
        self.assertEqual(len([line for line in result.stderr.splitlines() if not line.startswith("Unable to find")]), 1, result.stderr)
        return result

    def layers_asked(self):
        layers = [each["digest"] for digest in VECTORS["blobs"] if b'"layers"' in blob(digest)
                  for each in json.loads(blob(digest)).get("layers", []) if each["mediaType"].startswith(OCI + "layer")]
        return [line for line in self.there.asked("GET") if any(digest in line for digest in layers)]

    def assert_nothing_came(self):
        """Neither a layer nor a name."""
        self.assertEqual(self.layers_asked(), [])
        self.assertEqual(self.keg("images", "-q").stdout, "")


@needs("openssl")
class Pulls(TrustCase):
    def test_a_signed_image_comes_and_an_unsigned_one_does_not(self):
        put_vector(self.there, "tag-good")
        policy = self.policy(self.signed())
        self.assertIn(self.name, self.keg("--policy", policy, "pull", self.name).stdout)
        self.keg("rmi", self.name)
        self.there.manifests.clear()
        put_vector(self.there, "tag-unsigned")
        self.there.forget()
        self.refused("--policy", policy, "pull", "-q", self.name, says=["rejected by", "no signature exists of sha256:"])
        self.assert_nothing_came()

    def test_each_vector_has_its_answer(self):
        accepted = {"tag-good": "key", "tag-two-second-good": "key", "tag-identity-with-tag": "key", "tag-identity-other-tag": "key",
                    "tag-ed25519": "ed25519", "tag-rsa-pkcs1": "rsa", "tag-p384-sha256": "p384", "tag-p384-sha384": "p384", "referrer-good": "key",
                    "index-signed-only": "key", "index-instance-signed-only": "key", "index-both-signed": "key", "referrer-index-signed-only": "key"}
        keys = {"tag-ed25519ph": "ed25519", "tag-rsa-pss": "rsa"}
        for case, tags in VECTORS["cases"].items():
            with self.subTest(case):
                self.there.manifests.clear()
                put_vector(self.there, case)
                name = f"{self.there.host}/keg/tiny:{'v1' if 'v1' in tags else 'multi'}"
                words = "--policy", self.policy(self.signed(accepted.get(case) or keys.get(case) or "key")), "pull", "-q", name
                if case in accepted:
                    self.keg(*words)
                    self.keg("rmi", name)
                else:
                    self.there.forget()
                    self.refused(*words, says=["is rejected by"])
                    self.assert_nothing_came()

    def test_a_key_on_the_command_line_asks_for_the_repository_that_cosign_signs(self):
        put_vector(self.there, "tag-good")
        self.refused("pull", "-q", "--verify-key", self.vector_key(), self.name, says=f'it is for "{VECTORS["identity"]}", but must be for "{self.there.host}/keg/tiny"')
        self.assert_nothing_came()
        self.keg("sign", "--key", self.private, f"docker://{self.name}")
        self.keg("pull", "-q", "--verify-key", self.public, self.name)
        self.assertEqual(self.keg("pull", "-q", "--verify-key", self.public, "--verify-key", self.vector_key("wrong"), self.name, check=False).returncode, 1)

    def test_signatures_are_asked_for_once_before_the_layers_and_only_if_somebody_wants_one(self):
        digest = put_vector(self.there, "tag-good")
        tag = digest.replace(":", "-") + ".sig"
        self.keg("--policy", self.policy(self.signed()), "pull", "-q", self.name)
        asked = self.there.asked("GET")
        self.assertEqual(len([line for line in asked if tag in line]), 1)
        self.assertLess(asked.index(f"GET /v2/keg/tiny/manifests/{tag}"), asked.index(self.layers_asked()[0]))
        self.keg("rmi", self.name)
        self.there.forget()
        self.keg("--policy", self.policy({"type": "insecureAcceptAnything"}), "pull", "-q", self.name)
        self.assertEqual([line for line in self.there.asked() if tag in line or "referrers" in line], [])

    def test_what_is_pulled_is_what_was_verified_though_the_tag_is_moved_meanwhile(self):
        digest = put_vector(self.there, "tag-good")
        other = put_vector(self.there, "tag-unsigned", "keg/other")
        self.there.manifests["keg/tiny", "v1"] = self.there.manifests["keg/tiny", digest]
        evil = json.dumps({**json.loads(blob(digest)), "annotations": {"evil": "yes"}}).encode()

        def move(request):
            self.there.manifests["keg/tiny", "v1"] = (OCI + "manifest.v1+json", evil)
            request.route()

        self.there.fail("GET", ".sig", move)
        self.assertEqual(other, digest)
        self.keg("--policy", self.policy(self.signed()), "pull", "-q", self.name)
        self.assertEqual(self.config(self.name)["RepoDigests"], [f"{self.there.host}/keg/tiny@{digest}"])

    def test_an_index_that_is_signed_holds_for_its_images_and_they_alone_have_none(self):
        put_vector(self.there, "index-signed-only")
        policy = self.policy(self.signed())
        multi = f"{self.there.host}/keg/tiny:multi"
        self.keg("--policy", policy, "pull", "-q", multi)
        index = json.loads(self.there.manifests["keg/tiny", "multi"][1])
        instance = index["manifests"][0]["digest"]
        self.refused("--policy", policy, "pull", "-q", f"{self.there.host}/keg/tiny@{instance}", says=f"no signature exists of {instance}")
        # Another index over the same image is another image.
        index["annotations"] = {"more": "words"}
        self.there.manifests["keg/tiny", "multi"] = (INDEX, json.dumps(index).encode())
        self.refused("--policy", policy, "pull", "-q", multi, says="no signature exists of")

    def test_a_registry_that_cannot_say_whether_there_are_signatures_is_no_unsigned_image(self):
        put_vector(self.there, "tag-good")
        self.there.fail("GET", ".sig", answer(403, body=b'{"errors": [{"code": "DENIED", "message": "no"}]}'))
        self.refused("--policy", self.policy(self.signed()), "pull", "-q", self.name, says="signatures of sha256:")
        self.assert_nothing_came()

    def test_a_registry_that_gives_other_bytes_is_not_believed(self):
        # Bytes that are a good signature, under a digest that is not theirs.
        digest = put_vector(self.there, "tag-good")
        tag = digest.replace(":", "-") + ".sig"
        manifest = json.loads(self.there.manifests["keg/tiny", tag][1])
        manifest["layers"][0]["digest"] = "sha256:" + "0" * 64
        self.there.blobs["sha256:" + "0" * 64] = next(data for data in self.there.blobs.values() if b"docker-manifest-digest" in data)
        self.there.places.add(("keg/tiny", "sha256:" + "0" * 64))
        self.there.manifests["keg/tiny", tag] = (OCI + "manifest.v1+json", json.dumps(manifest).encode())
        self.refused("--policy", self.policy(self.signed()), "pull", "-q", self.name, says="its bytes have another digest")

    def test_a_signature_under_the_tag_is_enough_where_nobody_knows_of_referrers(self):
        put_vector(self.there, "tag-good")
        self.there.fail("GET", "/referrers/", answer(400))
        self.keg("--policy", self.policy(self.signed()), "pull", "-q", self.name)
        self.assertEqual([line for line in self.there.asked() if "/referrers/" in line], [])

    def test_referrers_are_found_by_the_api_on_all_pages_whatever_the_list_calls_them(self):
        digest = put_vector(self.there, "referrer-good")
        del self.there.manifests["keg/tiny", digest.replace(":", "-")]
        policy = self.policy(self.signed())
        self.refused("--policy", policy, "pull", "-q", self.name, says="no signature exists")
        self.there.referrers = 2
        for i in range(5):
            sbom = json.dumps({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "artifactType": "text/spdx", "config": json.loads(blob(digest))["config"],
                               "layers": [], "subject": json.loads(blob(digest))["config"] | {"digest": digest}, "annotations": {"n": str(i)}}).encode()
            self.there.manifests["keg/tiny", "sha256:" + sha(sbom)] = (OCI + "manifest.v1+json", sbom)
        good = next(key for key, (_, data) in self.there.manifests.items() if b"sigstore.bundle" in data and b"subject" in data)
        self.there.manifests[good] = self.there.manifests.pop(good)   # the last one
        self.keg("--policy", policy, "pull", "-q", self.name)
        self.assertGreater(len([line for line in self.there.asked() if "/referrers/" in line and "last=" in line]), 0)

    def test_what_refers_to_another_image_is_none_of_this_ones(self):
        digest = put_vector(self.there, "referrer-good")
        manifest = next(json.loads(data) for _, data in self.there.manifests.values() if b'"subject"' in data)
        manifest["subject"]["digest"] = "sha256:" + "0" * 64
        data = json.dumps(manifest).encode()
        listed = {"mediaType": OCI + "manifest.v1+json", "digest": "sha256:" + sha(data), "size": len(data), "artifactType": manifest["artifactType"]}
        self.there.manifests["keg/tiny", listed["digest"]] = (listed["mediaType"], data)
        self.there.manifests["keg/tiny", digest.replace(":", "-")] = (INDEX, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]}).encode())
        self.refused("--policy", self.policy(self.signed()), "pull", "-q", self.name, says="no signature exists")

    def test_of_many_and_large_signatures_a_bounded_number_is_asked_for(self):
        digest = put_vector(self.there, "tag-wrong-key")
        tag = digest.replace(":", "-") + ".sig"
        manifest = json.loads(self.there.manifests["keg/tiny", tag][1])
        manifest["layers"] *= 5000
        self.there.manifests["keg/tiny", tag] = (OCI + "manifest.v1+json", json.dumps(manifest).encode())
        self.there.forget()
        self.refused("--policy", self.policy(self.signed()), "pull", "-q", self.name, says="was accepted: ")
        self.assertLess(len(self.there.log), 150)
        manifest["layers"] = [manifest["layers"][0] | {"size": 1 << 40}]
        self.there.manifests["keg/tiny", tag] = (OCI + "manifest.v1+json", json.dumps(manifest).encode())
        self.refused("--policy", self.policy(self.signed()), "pull", "-q", self.name, says="is rejected by")
        self.there.manifests["keg/tiny", tag] = (OCI + "manifest.v1+json", b"{}")
        self.refused("--policy", self.policy(self.signed()), "pull", "-q", self.name, says="is rejected by")

    def test_words_of_a_signature_steer_no_terminal(self):
        digest = put_vector(self.there, "tag-good")
        payload = json.dumps({"critical": {"type": "cosign container image signature", "image": {"docker-manifest-digest": "\x1b[2J\n" + digest},
                                           "identity": {"docker-reference": "x"}}, "optional": None}).encode()
        self.sign_raw(digest, payload)
        result = self.refused("pull", "-q", "--verify-key", self.public, self.name, says="is rejected by")
        self.assertNotIn("\x1b", result.stderr)

    def sign_raw(self, digest, payload):
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.private], input=payload, capture_output=True, check=True).stdout
        layer = {"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": "sha256:" + sha(payload), "size": len(payload),
                 "annotations": {"dev.cosignproject.cosign/signature": base64.b64encode(signature).decode()}}
        self.there.put_blob("keg/tiny", payload)
        manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": json.loads(blob(digest))["config"], "layers": [layer]}
        self.there.manifests["keg/tiny", digest.replace(":", "-") + ".sig"] = (manifest["mediaType"], json.dumps(manifest).encode())

    def test_a_mirrors_image_needs_a_signature_of_its_own_digest(self):
        put_vector(self.there, "tag-good")
        mirror = self.registry()
        put_vector(mirror, "tag-unsigned")    # the same image
        self.write("registries.conf", f'[[registry]]\nlocation = "{self.there.host}"\n[[registry.mirror]]\nlocation = "{mirror.host}"\n'.encode())
        self.keg("--policy", self.policy(self.signed()), "pull", "-q", self.name)
        self.keg("rmi", self.name)
        self.image_in(mirror, "keg/tiny")
        mirror.manifests["keg/tiny", "v1"] = mirror.manifests["keg/tiny", "1"]
        self.refused("--policy", self.policy(self.signed()), "pull", "-q", self.name, says="no signature exists")


@needs("openssl")
class Policies(TrustCase):
    def test_the_first_policy_there_is_has_the_word(self):
        put_vector(self.there, "tag-unsigned")
        own = self.dir / "config/containers/policy.json"
        own.parent.mkdir(parents=True)
        own.write_text(json.dumps({"default": [{"type": "reject"}]}))
        self.refused("pull", "-q", self.name, says=f"{self.name} is rejected by policy {own}")
        accept = self.policy({"type": "insecureAcceptAnything"})
        self.keg("--policy", accept, "pull", "-q", self.name)
        self.keg("rmi", self.name)
        self.environment["CONTAINERS_POLICY_JSON"] = str(accept)
        self.keg("pull", "-q", self.name)
        own.write_text("{")
        self.keg("pull", "-q", self.name)
        del self.environment["CONTAINERS_POLICY_JSON"]
        self.refused("pull", "-q", self.name, says=f'invalid policy in "{own}": is not JSON')

    def test_a_file_that_was_named_and_is_not_there_is_an_error(self):
        put_vector(self.there, "tag-good")
        self.refused("--policy", self.dir / "none.json", "pull", "-q", self.name, says="no such file")
        self.refused("pull", "-q", "--verify-key", self.dir / "none.pub", self.name, says="no such file")
        self.assert_nothing_came()

    def test_a_policy_of_a_registry_says_nothing_of_others(self):
        put_vector(self.there, "tag-unsigned")
        policy = self.policy({"type": "reject"}, docker={f"{self.there.host}/keg": [{"type": "insecureAcceptAnything"}]})
        self.keg("--policy", policy, "pull", "-q", self.name)
        self.there.manifests["other/tiny", "v1"] = self.there.manifests["keg/tiny", "v1"]
        self.refused("--policy", policy, "pull", "-q", f"{self.there.host}/other/tiny:v1", says="is rejected by policy")

    def test_what_keg_cannot_ask_for_is_named(self):
        put_vector(self.there, "tag-good")
        for requirement, named in (({"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}, "signedBy"),
                                   ({"type": "sigstoreSigned", "fulcio": {}, "rekorPublicKeyPath": "/k"}, "rekorPublicKeyPath"),
                                   ({"type": "sigstoreSigned", "pki": {}}, "pki")):
            with self.subTest(named):
                self.refused("--policy", self.policy(requirement), "pull", "-q", self.name, says=[named, "which keg does not support"])


@needs("openssl")
class Others(TrustCase):
    """All other ways by which an image comes here."""

    @needs_root
    def test_run_and_create_take_nothing_that_pull_would_not(self):
        put_vector(self.there, "tag-unsigned")
        for verb in ("run", "create"):
            with self.subTest(verb):
                self.refused("--policy", self.policy(self.signed()), verb, "-q", "--network", "none", self.name, says="no signature exists")
                self.assert_nothing_came()

    @needs_root
    def test_a_key_for_run_is_asked_of_an_image_that_is_there_too(self):
        put_vector(self.there, "tag-good")
        self.keg("pull", "-q", self.name)
        self.refused("create", "--verify-key", self.public, "--network", "none", self.name, "x", says="no signature exists")
        self.keg("sign", "--key", self.private, f"docker://{self.name}")
        self.keg("pull", "-q", "--verify-key", self.public, self.name)
        self.keg("create", "--verify-key", self.public, "--network", "none", self.name, "x")
        self.refused("create", "--verify-key", self.vector_key(), "--network", "none", self.name, "x", says="verification failed")

    @needs_root
    def test_what_came_by_a_signed_index_stays_signed_and_under_another_name_is_not(self):
        multi = f"{self.there.host}/keg/tiny:multi"
        put_vector(self.there, "index-signed-only")
        index = json.loads(self.there.manifests["keg/tiny", "multi"][1])
        self.assertNotEqual(self.keg("sign", "--key", self.private, f"docker://{multi}").stdout.strip(), index["manifests"][0]["digest"])
        self.keg("pull", "-q", "--verify-key", self.public, multi)
        self.keg("create", "--verify-key", self.public, "--network", "none", multi, "x")
        self.keg("tag", multi, "quay.io/lib/other:1")
        self.refused("create", "--verify-key", self.public, "--network", "none", "quay.io/lib/other:1", "x", says='must be for "quay.io/lib/other"')

    @needs_root
    def test_a_build_takes_no_base_that_pull_would_not(self):
        put_vector(self.there, "tag-unsigned")
        (self.dir / "context").mkdir()
        (self.dir / "context/Dockerfile").write_text(f"FROM {self.name}\nLABEL a=b\n")
        policy = self.policy(self.signed())
        self.fails("--policy", policy, "build", "-q", self.dir / "context", says="no signature exists")
        self.assert_nothing_came()
        self.fails("build", "-q", "--verify-key", self.public, self.dir / "context", says="no signature exists")
        self.keg("sign", "--key", self.private, f"docker://{self.name}")
        self.keg("build", "-q", "--verify-key", self.public, self.dir / "context")
        self.keg("build", "-q", "--verify-key", self.public, self.dir / "context")
        self.fails("build", "-q", "--verify-key", self.vector_key(), self.dir / "context", says="verification failed")

    def test_copy_moves_nothing_that_is_refused(self):
        put_vector(self.there, "tag-unsigned")
        policy = self.policy(self.signed())
        target = self.dir / "layout"
        self.refused("--policy", policy, "copy", "-q", f"docker://{self.name}", f"oci:{target}", says="no signature exists")
        self.assert_nothing_came()
        self.assertFalse((target / "index.json").exists())
        put_vector(self.there, "tag-good")
        self.keg("--policy", policy, "copy", "-q", f"docker://{self.name}", f"oci:{target}")

    def test_of_an_index_that_is_copied_as_a_whole_the_index_must_be_signed(self):
        policy = self.policy(self.signed())
        for case, good in (("index-instance-signed-only", False), ("index-signed-only", True)):
            with self.subTest(case):
                self.there.manifests.clear()
                put_vector(self.there, case)
                words = "--policy", policy, "copy", "-q", "--all", f"docker://{self.there.host}/keg/tiny:multi", f"oci:{self.dir / case}"
                if good:
                    self.keg(*words)
                else:
                    self.refused(*words, says="no signature exists")

    def test_a_layout_has_its_signatures_inside_and_a_scope_of_its_own(self):
        for case, says in (("tag-good", None), ("referrer-good", None), ("tag-wrong-key", "verification failed"), ("tag-unsigned", "no signature exists")):
            with self.subTest(case):
                layout = layout_of(self.dir / case, case)
                policy = self.policy({"type": "reject"}, oci={str(layout): [self.signed()]})
                words = "--policy", policy, "copy", "-q", f"oci:{layout}:v1", f"dir:{self.dir}/{case}.copy"
                self.refused(*words, says=says) if says else self.keg(*words)
                self.refused("--policy", self.policy({"type": "reject"}), *words[2:], says="is rejected by policy")

    def test_an_archive_is_loaded_only_if_what_it_holds_is_signed(self):
        for case, says in (("tag-good", None), ("tag-wrong-key", "verification failed"), ("tag-unsigned", "no signature exists")):
            with self.subTest(case):
                archive = self.dir / f"{case}.tar"
                run("tar", "-C", layout_of(self.dir / case, case), "-cf", archive, ".")
                policy = self.policy({"type": "reject"}, oci_archive={str(archive): [self.signed()]})
                words = "--policy", policy, "load", "-q", "-i", archive
                self.refused(*words, says=says) if says else self.keg(*words)
                self.refused("--policy", self.policy({"type": "reject"}), *words[2:], says="is rejected by policy")
                self.keg("image", "prune", "-a", "-f") if not says else self.assert_nothing_came()

    def test_an_index_within_an_index_is_judged_by_its_own_signature(self):
        put_vector(self.there, "index-signed-only")
        index = json.loads(self.there.manifests["keg/tiny", "multi"][1])
        for case, key, says in (("index-signed-only", "key", None), ("index-signed-only", "wrong", "verification failed")):
            layout = layout_of(self.dir / f"nested-{key}", case)
            inner = VECTORS["cases"][case]["multi"]
            outer = json.dumps({"schemaVersion": 2, "mediaType": OCI + "index.v1+json",
                                "manifests": [{**inner, "platform": index["manifests"][0]["platform"]}]}).encode()
            (layout / "blobs/sha256" / sha(outer)).write_bytes(outer)
            top = json.loads((layout / "index.json").read_text())
            top["manifests"] = [each for each in top["manifests"] if each["digest"] != inner["digest"]]
            top["manifests"].append({"mediaType": OCI + "index.v1+json", "digest": "sha256:" + sha(outer), "size": len(outer)})
            (layout / "index.json").write_text(json.dumps(top))
            run("tar", "-C", layout, "-cf", self.dir / "nested.tar", ".")
            words = "load", "-q", "-i", self.dir / "nested.tar", "--verify-key", self.vector_key(key)
            self.refused(*words, says=says) if says else self.keg(*words)

    def test_a_directory_has_its_signatures_as_skopeo_writes_them(self):
        for case, says in (("tag-good", None), ("tag-wrong-key", "verification failed"), ("tag-unsigned", "no signature exists")):
            with self.subTest(case):
                place = self.dir / case
                self.keg("copy", "-q", f"oci:{layout_of(self.dir / f'{case}-layout', case)}:v1", f"dir:{place}")
                for tag, descriptor in VECTORS["cases"][case].items():
                    for i, layer in enumerate(json.loads(blob(descriptor["digest"]))["layers"] if tag.endswith(".sig") else [], 1):
                        sigstore = {"mimeType": layer["mediaType"], "payload": base64.b64encode(blob(layer["digest"])).decode(), "annotations": layer["annotations"]}
                        (place / f"signature-{i}").write_bytes(b"\0sigstore-json\n" + json.dumps(sigstore).encode())
                words = "--policy", self.policy({"type": "reject"}, dir={str(place): [self.signed()]}), "copy", "-q", f"dir:{place}", f"oci:{self.dir}/{case}.copy"
                self.refused(*words, says=says) if says else self.keg(*words)
                (place / "signature-1").write_bytes(b"\x90\x0d\x03\x00\x02\x08")
                self.refused(*words, says="signature-1: an OpenPGP signature, which keg cannot verify")
                (place / "signature-1").write_bytes(b"\0sigstore-json\n{}")
                self.refused(*words, says="signature-1: ")

    def test_a_docker_archive_has_no_signatures(self):
        put_vector(self.there, "tag-good")
        self.keg("pull", "-q", self.name)
        self.keg("save", "-o", self.dir / "docker.tar", self.name)
        self.keg("rmi", self.name)
        self.refused("load", "-q", "-i", self.dir / "docker.tar", "--verify-key", self.vector_key(), says="no signature exists")
        self.assertEqual(self.keg("images", "-q").stdout, "")


@needs("openssl")
class Signing(TrustCase):
    def test_a_signature_is_verified_by_openssl_and_has_cosigns_form(self):
        digest = put_vector(self.there, "tag-unsigned")
        self.assertEqual(self.keg("sign", "--key", self.private, f"docker://{self.name}").stdout.strip(), digest)
        kind, text = self.there.manifests["keg/tiny", digest.replace(":", "-") + ".sig"]
        manifest = json.loads(text)
        self.assertEqual((kind, manifest["mediaType"], manifest["config"]["mediaType"]), (OCI + "manifest.v1+json", OCI + "manifest.v1+json", OCI + "config.v1+json"))
        layer, = manifest["layers"]
        payload = self.there.blobs[layer["digest"]]
        self.assertEqual(payload.decode(), '{"critical":{"identity":{"docker-reference":"' + self.name + '"},"image":{"docker-manifest-digest":"' + digest +
                         '"},"type":"cosign container image signature"},"optional":null}')
        self.write("payload", payload)
        self.write("signature", base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"]))
        run("openssl", "dgst", "-sha256", "-verify", self.public, "-signature", self.dir / "signature", self.dir / "payload")
        self.assertEqual(json.loads(self.there.blobs[manifest["config"]["digest"]])["rootfs"]["diff_ids"], [layer["digest"]])

    def test_what_others_signed_stays_and_one_signature_is_there_once(self):
        digest = put_vector(self.there, "tag-good")
        key = "keg/tiny", digest.replace(":", "-") + ".sig"
        before = json.loads(self.there.manifests[key][1])["layers"]
        ed25519, private = self.keys("ed", ("ED25519",))
        for _ in range(2):
            self.keg("sign", "--key", private, f"docker://{self.name}")
        after = json.loads(self.there.manifests[key][1])["layers"]
        self.assertEqual((after[:1], len(after)), (before, 2))
        self.keg("verify", "--key", ed25519, f"docker://{self.name}")
        self.keg("--policy", self.policy(self.signed()), "verify", f"docker://{self.name}")

    def test_a_bundle_refers_to_the_image_and_is_found_by_the_api_and_without(self):
        for pages in (False, 10):
            with self.subTest(api=bool(pages)):
                self.there.referrers = pages
                digest = put_vector(self.there, "tag-unsigned")
                for _ in range(2):
                    self.keg("sign", "--bundle", "--key", self.private, f"docker://{self.name}")
                tag = digest.replace(":", "-")
                self.assertEqual(("keg/tiny", tag) in self.there.manifests, not pages)
                self.assertNotIn(("keg/tiny", tag + ".sig"), self.there.manifests)
                self.assertIn("is signed, by a bundle", self.keg("verify", "--key", self.public, f"docker://{self.name}").stdout)
                manifest = next(json.loads(data) for _, data in self.there.manifests.values() if b'"subject"' in data)
                self.assertEqual((manifest["subject"]["digest"], manifest["artifactType"]), (digest, "application/vnd.dev.sigstore.bundle.v0.3+json"))
                self.there.manifests.clear()
        layout = layout_of(self.dir / "layout", "tag-unsigned")
        self.keg("sign", "--bundle", "--key", self.private, f"oci:{layout}")
        self.keg("verify", "--key", self.public, f"oci:{layout}")
        self.keg("copy", "-q", "--verify-key", self.public, f"oci:{layout}", "store:app")
        self.keg("verify", "--key", self.public, "app")

    def test_keys_of_all_kinds_sign(self):
        put_vector(self.there, "tag-unsigned")
        for name, kind in (("p384", ("EC", "-pkeyopt", "ec_paramgen_curve:P-384")), ("rsa", ("RSA", "-pkeyopt", "rsa_keygen_bits:2048")), ("ed", ("ED25519",))):
            with self.subTest(name):
                public, private = self.keys(name, kind)
                self.keg("sign", "--key", private, f"docker://{self.name}")
                self.keg("verify", "--key", public, f"docker://{self.name}")

    def test_cosigns_key_signs_by_its_passphrase(self):
        put_vector(self.there, "tag-unsigned")
        key = self.write("cosign.key", VECTORS["private"]["key.key"].encode())
        self.refused("sign", "--key", key, f"docker://{self.name}", says="give its passphrase by --passphrase-file or COSIGN_PASSWORD")
        self.refused("sign", "--key", key, "--passphrase-file", self.write("wrong", b"guess\n"), f"docker://{self.name}", says="the passphrase is wrong")
        self.keg("sign", "--key", key, "--passphrase-file", self.write("phrase", b"keg-test\n"), f"docker://{self.name}")
        self.keg("verify", "--key", self.vector_key(), f"docker://{self.name}")

    def test_openssls_keys_are_read_in_all_their_forms(self):
        put_vector(self.there, "tag-unsigned")
        rsa, _ = self.keys("rsa", ("RSA", "-pkeyopt", "rsa_keygen_bits:2048"))
        forms = {"encrypted": (self.public, ["pkey", "-in", self.private, "-aes256", "-passout", "pass:keg-test"]),
                 "older": (self.public, ["ec", "-in", self.private]),
                 "older and encrypted": (self.public, ["ec", "-in", self.private, "-aes128", "-passout", "pass:keg-test"])}
        self.environment["COSIGN_PASSWORD"] = "keg-test"
        for name, (public, words) in forms.items():
            with self.subTest(name):
                run("openssl", *words, "-out", self.dir / "form.pem")
                self.keg("sign", "--key", self.dir / "form.pem", f"docker://{self.name}")
                self.keg("verify", "--key", public, f"docker://{self.name}")
        self.environment["COSIGN_PASSWORD"] = "guess"
        self.refused("sign", "--key", self.dir / "form.pem", f"docker://{self.name}", says="the passphrase is wrong")
        run("openssl", "rsa", "-pubin", "-in", rsa, "-RSAPublicKey_out", "-out", self.dir / "pkcs1.pub")
        self.keg("sign", "--key", self.dir / "rsa.pem", f"docker://{self.name}")
        self.keg("verify", "--key", self.dir / "pkcs1.pub", f"docker://{self.name}")

    def test_the_registry_itself_is_asked_what_is_to_be_signed_and_no_mirror(self):
        digest = put_vector(self.there, "tag-unsigned")
        mirror = self.registry()
        put_vector(mirror, "tag-wrong-digest")
        mirror.manifests["keg/tiny", "v1"] = (OCI + "manifest.v1+json", json.dumps({**json.loads(blob(digest)), "annotations": {"a": "b"}}).encode())
        self.write("registries.conf", f'[[registry]]\nlocation = "{self.there.host}"\n[[registry.mirror]]\nlocation = "{mirror.host}"\n'.encode())
        self.assertEqual(self.keg("sign", "--key", self.private, f"docker://{self.name}").stdout.strip(), digest)
        self.assertEqual(mirror.log, [])

    def test_a_layout_and_the_store_take_signatures_and_the_image_stays_what_it_is(self):
        layout = layout_of(self.dir / "layout", "tag-unsigned")
        digest = VECTORS["cases"]["tag-unsigned"]["v1"]["digest"]
        self.refused("sign", "--key", self.private, f"oci:{layout}:v1", says="has no name that could be signed: give one by --identity")
        self.assertEqual(self.keg("sign", "--key", self.private, "--identity", "example.org/app:1", f"oci:{layout}").stdout.strip(), digest)
        self.assertIn(f"{digest} is signed as example.org/app:1", self.keg("verify", "--key", self.public, f"oci:{layout}").stdout)
        self.keg("copy", "-q", "--verify-key", self.public, f"oci:{layout}", "store:example.org/app:1")
        self.keg("verify", "--key", self.public, "example.org/app:1")   # it was kept
        other, private = self.keys("other")
        self.refused("verify", "--key", other, "example.org/app:1", says="verification failed")
        self.assertEqual(self.keg("sign", "--key", private, "example.org/app:1").stdout.strip(), digest)
        self.keg("verify", "--key", other, "example.org/app:1")
        self.assertEqual(self.keg("images", "-q").stdout.count("\n"), 1)
        self.keg("rmi", "example.org/app:1")
        self.assertEqual(os.listdir(self.store / "signatures"), [])

    def test_verify_says_why_not_and_asks_nobody_without_a_question(self):
        put_vector(self.there, "tag-good")
        self.environment["CONTAINERS_POLICY_JSON"] = str(self.policy({"type": "insecureAcceptAnything"}))
        self.refused("verify", f"docker://{self.name}", says="say which key must have signed it by --key FILE")
        self.refused("verify", "--key", self.private, f"docker://{self.name}", says="it is a private key: expected the public one")
        self.refused("sign", f"docker://{self.name}", says="--key FILE")
        self.refused("sign", "--key", self.public, f"docker://{self.name}", says="no private key")
        self.refused("verify", "--key", self.public, "nothing:1", says="No such image: nothing:1")
        self.refused("sign", "--key", self.private, f"oci-archive:{self.dir}/a.tar", says="takes no signature")

    def test_what_was_kept_in_the_store_is_believed_as_little_as_what_comes(self):
        put_vector(self.there, "tag-unsigned")
        self.keg("pull", "-q", self.name)
        self.keg("sign", "--key", self.private, self.name)
        kept, = (self.store / "signatures").iterdir()
        text = kept.read_text()
        other = "sha256-" + "0" * 64
        for damage in (text.replace(VECTORS["cases"]["tag-unsigned"]["v1"]["digest"], other), text[:-10], "", "{}", text.replace('"data":"', '"data":"AAAA')):
            with self.subTest(damage[:20]):
                kept.write_text(damage)
                result = self.keg("verify", "--key", self.public, self.name, check=False)
                self.assertEqual(result.returncode, 0 if damage == text else 1, result.stderr)


@needs("openssl")
@needs("cosign")
class Cosign(TrustCase):
    def cosign(self, verb, *words):
        self.environment["COSIGN_PASSWORD"] = "keg-test"
        return run("cosign", verb, "--allow-http-registry", *words, self.name, env=self.environment, check=False)

    def test_it_verifies_what_keg_signs(self):
        for api in (False, 10):
            for how in ((), ("--bundle",)):
                with self.subTest(api=bool(api), how=how):
                    self.there.manifests.clear()
                    self.there.referrers = api
                    put_vector(self.there, "tag-unsigned")
                    verify = lambda: self.cosign("verify", "--insecure-ignore-tlog", "--key", self.public).returncode
                    self.assertNotEqual(verify(), 0)
                    self.keg("sign", *how, "--key", self.private, f"docker://{self.name}")
                    self.assertEqual(verify(), 0)

    def test_keg_verifies_what_it_signs_beside_kegs_own(self):
        key = self.write("cosign.key", VECTORS["private"]["key.key"].encode())
        for api in (False, 10):
            for bundle in ("true", "false"):
                with self.subTest(api=bool(api), bundle=bundle):
                    self.there.manifests.clear()
                    self.there.referrers = api
                    put_vector(self.there, "tag-unsigned")
                    self.keg("sign", *(["--bundle"] if bundle == "true" else []), "--key", self.private, f"docker://{self.name}")
                    signed = self.cosign("sign", "--yes", f"--new-bundle-format={bundle}", "--use-signing-config=false", "--tlog-upload=false", "--key", key)
                    self.assertEqual(signed.returncode, 0, signed.stderr)
                    for public in (self.vector_key(), self.public):
                        self.keg("verify", "--key", public, f"docker://{self.name}")


if __name__ == "__main__":
    unittest.main()
