"""Manifest lists: put together of images of the store and of registries, said of, pushed, and read by others."""
import base64
import json
import os
import platform
import subprocess
import unittest

from archives import MANIFEST, config_of, registry_image, sha, tar_of
from keg import KEG, needs, needs_root, run
from test_registry import INDEX, DebianCase, RegistryCase

HERE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
OTHER = {"amd64": "arm64", "arm64": "amd64"}[HERE]
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def config_for(architecture, layer, **more):
    return json.dumps(json.loads(config_of(layer)) | {"architecture": architecture, **more}).encode()


class ListCase(RegistryCase):
    def setUp(self):
        super().setUp()
        self.there = self.registry()
        self.list = f"{self.there.host}/lib/app:1"

    def image_for(self, architecture, name="lib/app", registry=None, files=None, changes=None, **config):
        """An image in a registry, under its architecture's name; gives (the name, its manifest's digest)."""
        registry = registry or self.there
        layer = tar_of(files or {"hello": architecture.encode()})
        answers, manifest = registry_image(name, architecture, [layer], config_for(architecture, layer, **config), **(changes or {}))
        if changes:
            answers[f"/v2/{name}/manifests/{architecture}"] = (200, {"Content-Type": changes["mediaType"]}, manifest)
        registry.put_image(answers, name)
        return f"{registry.host}/{name}:{architecture}", "sha256:" + sha(manifest)

    def inspect(self, *words):
        return json.loads(self.keg("manifest", "inspect", *words).stdout)

    def platforms(self, index):
        return [each["platform"]["os"] + "/" + each["platform"]["architecture"] for each in index["manifests"]]

    def in_registry(self, name="lib/app", tag="1"):
        return json.loads(self.there.manifests[name, tag][1])


class Lists(ListCase):
    def test_a_list_of_a_registrys_images_is_made_and_pushed_without_their_layers(self):
        (one, first), (two, second) = self.image_for(HERE), self.image_for(OTHER)
        self.assertEqual(self.keg("manifest", "create", self.list, one, two).stdout, f"Created manifest list {self.list}\n")
        digest = self.keg("manifest", "push", self.list).stdout.strip()
        media_type, text = self.there.manifests["lib/app", "1"]
        self.assertEqual((media_type, digest), (INDEX, "sha256:" + sha(text)))
        self.assertEqual([each["digest"] for each in json.loads(text)["manifests"]], [first, second])
        self.assertEqual(self.platforms(json.loads(text)), ["linux/" + HERE, "linux/" + OTHER])
        layers = [json.loads(self.there.manifests["lib/app", each][1])["layers"][0]["digest"] for each in (HERE, OTHER)]
        self.assertFalse([line for line in self.there.asked("GET") if any(layer in line for layer in layers)])
        self.keg("manifest", "rm", self.list)
        self.keg("pull", "-q", self.list)
        self.assertEqual(json.loads(self.keg("image", "inspect", self.list).stdout)[0]["Architecture"], HERE)

    def test_images_of_other_repositories_are_mounted(self):
        one, two = self.image_for(HERE, "a/one")[0], self.image_for(OTHER, "b/two")[0]
        self.keg("manifest", "create", self.list, one, two)
        self.keg("image", "prune", "-f")   # forgets nothing that a list needs
        self.keg("manifest", "push", self.list)
        for each in self.in_registry()["manifests"]:
            manifest = json.loads(self.there.manifests["lib/app", each["digest"]][1])
            self.assertIn(("lib/app", manifest["layers"][0]["digest"]), self.there.places)

    def test_images_of_another_registry_are_not_pushed_and_nothing_gets_the_name(self):
        elsewhere = self.registry()
        name, digest = self.image_for(HERE, registry=elsewhere)
        self.keg("manifest", "create", self.list, name)
        self.fails("manifest", "push", self.list, says=(digest, f"neither in the store (pull it first) nor in {self.there.host}"))
        self.assertEqual(self.there.manifests, {})
        # Once it is here, it goes.
        self.keg("pull", "-q", name)
        self.keg("manifest", "push", self.list)
        self.assertEqual([each["digest"] for each in self.in_registry()["manifests"]], [digest])

    def test_images_that_were_made_here_go_compressed_and_come_back(self):
        self.import_as("made:here", {"zeros": bytes(300_000)})
        before = self.image_id("made:here")
        other = self.image_for(OTHER)[0]
        self.keg("manifest", "create", self.list, "made:here", other)
        self.keg("manifest", "push", "--purge", self.list)
        self.fails("manifest", "push", self.list, says="No such manifest: " + self.list)
        index = self.in_registry()
        self.assertEqual(self.platforms(index), ["linux/" + HERE, "linux/" + OTHER])
        manifest = json.loads(self.there.manifests["lib/app", index["manifests"][0]["digest"]][1])
        self.assertEqual([layer["mediaType"] for layer in manifest["layers"]], ["application/vnd.oci.image.layer.v1.tar+gzip"])
        self.store = self.dir / "other"
        self.keg("pull", "-q", self.list)
        self.assertEqual(self.image_id(self.list), before)

    def test_of_an_index_all_images_are_taken(self):
        (one, first), (two, second) = self.image_for(HERE), self.image_for(OTHER)
        self.keg("manifest", "create", f"{self.there.host}/lib/app:both", one, two)
        self.keg("manifest", "push", "-p", f"{self.there.host}/lib/app:both")
        self.keg("manifest", "create", self.list, f"{self.there.host}/lib/app:both")
        self.assertEqual([each["digest"] for each in self.inspect(self.list)["manifests"]], [first, second])

    def test_a_list_is_not_changed_unless_that_is_said(self):
        one, two = self.image_for(HERE)[0], self.image_for(OTHER)[0]
        self.keg("manifest", "create", self.list, one)
        self.fails("manifest", "create", self.list, two, says="refusing to amend an existing manifest list with no --amend flag")
        self.assertEqual(self.platforms(self.inspect(self.list)), ["linux/" + HERE])
        for _ in range(2):
            self.keg("manifest", "create", "--amend", self.list, two)
            self.assertEqual(self.platforms(self.inspect(self.list)), ["linux/" + HERE, "linux/" + OTHER])
        self.keg("tag", self.list, "other/name")   # the list as it is now
        newer, digest = self.image_for(HERE, files={"hello": b"newer"})
        self.keg("manifest", "create", "-a", self.list, newer)
        index = self.inspect(self.list)
        self.assertEqual((self.platforms(index), index["manifests"][0]["digest"]), (["linux/" + HERE, "linux/" + OTHER], digest))
        self.assertNotEqual(self.inspect("other/name")["manifests"][0]["digest"], digest)

    def test_who_changes_a_list_at_once_loses_nothing(self):
        names = [self.image_for(each)[0] for each in ("amd64", "arm64", "s390x", "riscv64", "ppc64le", "386")]
        begun = [subprocess.Popen([KEG, "--root", str(self.store), "manifest", "create", "--amend", self.list, name], env=self.environment,
                                  stdout=subprocess.DEVNULL) for name in names]
        self.assertEqual([process.wait() for process in begun], [0] * len(names))
        self.assertEqual(len(self.inspect(self.list)["manifests"]), len(names))
        self.assertEqual(len(self.keg("images", "-q").stdout.split()), 1)   # nothing dangles

    def test_what_an_entry_says_of_its_machine_can_be_changed(self):
        name, digest = self.image_for("arm")
        self.keg("manifest", "create", self.list, name)
        self.keg("manifest", "annotate", self.list, name, "--arch", "arm", "--variant", "v7", "--os-version", "6.1", "--os-features", "a,b")
        self.assertEqual(self.inspect(self.list)["manifests"][0]["platform"],
                         {"architecture": "arm", "os": "linux", "os.version": "6.1", "os.features": ["a", "b"], "variant": "v7"})
        for way in (digest, f"{self.there.host}/lib/app@{digest}"):
            self.keg("manifest", "annotate", "--arch", "aarch64", "--os", "Linux", self.list, way)
            self.assertEqual(self.inspect(self.list)["manifests"][0]["platform"]["architecture"], "arm64")
        self.fails("manifest", "annotate", self.list, name, "--arch", "amd46", says="unsupported os/arch combination: linux/amd46")
        self.fails("manifest", "annotate", self.list, name, "--os", "linus", says="unsupported os/arch combination: linus/arm64")
        other = self.image_for("s390x")[0]
        self.fails("manifest", "annotate", self.list, other, "--os", "linux", says=f"manifest for image {other} does not exist in {self.list}")

    def test_dockers_images_make_dockers_list(self):
        changes = {"mediaType": DOCKER_MANIFEST}
        one, two = (self.image_for(each, changes=changes)[0] for each in (HERE, OTHER))
        self.keg("manifest", "create", self.list, one, two)
        self.assertEqual(self.inspect(self.list)["mediaType"], DOCKER_LIST)
        self.keg("manifest", "push", self.list)
        self.assertEqual(self.there.manifests["lib/app", "1"][0], DOCKER_LIST)
        self.keg("manifest", "create", "-a", self.list, self.image_for("s390x")[0])
        self.assertEqual(self.inspect(self.list)["mediaType"], INDEX)

    def test_a_manifest_is_shown_of_the_store_or_of_the_registry(self):
        name, digest = self.image_for(HERE)
        text = self.there.manifests["lib/app", HERE][1]
        self.assertEqual(self.inspect(name), json.loads(text))
        said = self.inspect("-v", name)
        self.assertEqual((said["Ref"], base64.b64decode(said["Raw"]), said["OCIManifest"]), (name, text, json.loads(text)))
        self.assertEqual(said["Descriptor"], {"mediaType": MANIFEST, "digest": digest, "size": len(text),
                                              "platform": {"architecture": HERE, "os": "linux"}})
        self.assertEqual(self.keg("images", "-q").stdout, "")   # to look leaves nothing
        self.keg("manifest", "create", self.list, name)
        said, = self.inspect("--verbose", self.list)
        self.assertEqual((said["Ref"], said["Descriptor"]["platform"]["architecture"]), (f"{self.there.host}/lib/app@{digest}", HERE))
        self.assertEqual(self.inspect(self.list, name), json.loads(text))
        self.fails("manifest", "inspect", f"{self.there.host}/lib/none:1", says=("manifest unknown", self.there.host, "status 404"))

    def test_a_list_is_an_image_of_the_store(self):
        foreign = self.image_for(OTHER)[0]
        self.keg("manifest", "create", self.list, foreign)
        listed = json.loads(self.keg("images", "--format", "json").stdout)
        self.assertEqual(listed["Repository"] + ":" + listed["Tag"], self.list)
        self.assertEqual(self.keg("images").stderr, "")
        self.assertEqual(self.keg("system", "check").stderr, "")
        self.keg("manifest", "create", "-a", self.list, self.image_for(HERE)[0])   # whose layers are not here, either
        self.assertEqual(self.keg("images").stderr, "")
        self.assertEqual(self.keg("system", "check").stderr, "")
        self.fails("unpack", self.list, self.dir / "bundle", says="is not in the store (pull or load its image again)")
        result = self.keg("rmi", self.list)
        self.assertEqual((result.stderr, self.keg("images", "-q").stdout), ("", ""))
        self.assertEqual(self.keg("system", "df", "--format", "{{.Size}}").stdout.splitlines()[0], "0B")

    @needs("skopeo")
    def test_all_of_a_list_goes_to_a_layout(self):
        for architecture in (HERE, OTHER):
            self.keg("pull", "-q", "--platform", f"linux/{architecture}", self.image_for(architecture)[0])
        self.keg("manifest", "create", "app", *(f"{self.there.host}/lib/app:{each}" for each in (HERE, OTHER)))
        self.keg("copy", "-q", "--all", "store:app", f"oci:{self.dir}/layout:app")
        self.assertNotIn("error", self.keg("validate", f"{self.dir}/layout").stdout)
        index = json.loads(run("skopeo", "inspect", "--raw", f"oci:{self.dir}/layout:app").stdout)
        self.assertEqual(self.platforms(index), ["linux/" + HERE, "linux/" + OTHER])

    def test_mistakes_are_named_as_they_were_typed(self):
        self.import_as("app", {"hello": b"world"})
        self.fails("manifest", "create", "app", "app", says="app:latest is an image, and no manifest list")
        self.fails("manifest", "rm", "app", says="app:latest is an image, and no manifest list")
        self.fails("manifest", "rm", "none", says="No such manifest: none:latest")
        self.fails("manifest", "push", "none", says="No such manifest: none:latest")
        self.fails("manifest", "create", "list", says="requires at least 2 argument")
        self.fails("manifest", "create", "list@sha256:" + "0" * 64, "app", says="a list has a tag, and no digest")
        self.assertEqual(self.keg("manifest", "create", "list", "app").stdout, "Created manifest list docker.io/library/list:latest\n")


class Platforms(ListCase):
    """Of an image for several platforms any one is looked at, saved and removed."""

    def setUp(self):
        super().setUp()
        self.names = [self.image_for(each)[0] for each in (HERE, OTHER)]
        self.keg("manifest", "create", self.list, *self.names)
        self.keg("manifest", "push", "-p", self.list)
        self.keg("pull", "-q", self.list)   # of which one image comes
        self.here, self.other = (each["digest"] for each in self.in_registry()["manifests"])

    def rows(self, *words):
        return [line.split("   ") for line in self.keg("images", "--tree", *words).stdout.splitlines()]

    def all_here(self):
        """An image "all", of which both platforms are here, and neither has a name."""
        for name, architecture in zip(self.names, (HERE, OTHER)):
            self.keg("pull", "-q", "--platform", f"linux/{architecture}", name)
        self.keg("manifest", "create", "all", *self.names)
        self.keg("rmi", self.list, *self.names)

    def test_a_tree_says_what_is_here(self):
        self.import_as("made:here", {"hello": b"world"})
        lines = self.keg("images", "--tree").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["IMAGE", "ID", "DISK", "USAGE", "CONTENT", "SIZE", "EXTRA"])
        columns = [lines[0].index(word) for word in ("ID", "EXTRA")]
        rows = {line[:columns[0]].strip(): line[columns[0]:] for line in lines[1:]}
        self.assertEqual(set(rows), {self.list, f"├─ linux/{HERE}", f"└─ linux/{OTHER}", "made:here"})
        for row, digest in ((f"├─ linux/{HERE}", self.here), (f"└─ linux/{OTHER}", self.other), ("made:here", self.image_id("made:here"))):
            self.assertTrue(rows[row].startswith(digest.removeprefix("sha256:")[:12]), rows)
        self.assertEqual([line[columns[1]:] for line in lines if len(line) > columns[1]], ["EXTRA", "not here"])
        self.assertEqual(rows[f"└─ linux/{OTHER}"].split()[1:3], ["0B", "0B"])
        self.assertEqual(self.rows("made")[1][0], "made:here")
        self.fails("images", "--tree", "-q", says="--quiet is not yet supported with --tree")

    def test_what_is_for_another_platform_is_shown_when_that_is_asked_for(self):
        wanted = f"image with reference {self.list} was found but does not match the specified platform: wanted linux/{OTHER}"
        for verb in (["image", "inspect"], ["history"]):
            self.fails(*verb, "--platform", f"linux/{OTHER}", self.list, says=wanted)
        self.all_here()
        for architecture, digest in ((HERE, self.here), (OTHER, self.other)):
            said, = json.loads(self.keg("image", "inspect", "--platform", f"linux/{architecture}", "all").stdout)
            self.assertEqual((said["Architecture"], said["Descriptor"]["digest"]), (architecture, digest))
            self.keg("history", "--platform", f"linux/{architecture}", "all")

    def test_an_image_for_another_platform_is_saved_when_that_is_asked_for(self):
        self.fails("save", "-o", self.dir / "x.tar", "--platform", f"linux/{OTHER}", self.list,
                   says=f"no suitable export target found for platform linux/{OTHER}")
        self.all_here()
        self.keg("save", "-o", self.dir / "all.tar", "--platform", f"linux/{OTHER}", "all")
        self.store = self.dir / "other"
        self.keg("load", "-i", self.dir / "all.tar")
        self.assertEqual(json.loads(self.keg("image", "inspect", "all").stdout)[0]["Architecture"], OTHER)

    def save_several(self, form, *words):
        """All of "all", saved in that form and loaded into another store; gives what the name means there."""
        self.keg("save", "-f", form, "-o", self.dir / "all.tar", *words, "all")
        self.index = self.inspect("all")
        self.store = self.dir / "other"
        self.assertEqual(self.keg("load", "-i", self.dir / "all.tar").stdout, "Loaded image: all:latest\n")
        self.assertEqual(self.keg("system", "check").stderr, "")
        return self.inspect("all")

    def test_images_for_several_platforms_are_saved_together(self):
        self.all_here()
        both = f"linux/{HERE}", f"linux/{OTHER}"
        for form in ("oci-archive", "docker-archive"):
            for words in (["--all-platforms"], ["--platform", ",".join(both)], ["--platform", both[1], "--platform", both[0]]):
                with self.subTest(form=form, words=words):
                    loaded = self.save_several(form, *words)
                    self.assertEqual(self.platforms(loaded), list(both))
                    if form == "oci-archive":
                        self.assertEqual(loaded, self.index)   # and every digest in it
                    for architecture in (HERE, OTHER):
                        said, = json.loads(self.keg("image", "inspect", "--platform", f"linux/{architecture}", "all").stdout)
                        self.assertEqual(said["Architecture"], architecture)
                        self.keg("save", "-o", self.dir / "one.tar", "--platform", f"linux/{architecture}", "all")
                    self.keg("create", "--name", "made", "all")
                    self.keg("rm", "made")
                    run("rm", "-r", self.store)
                    self.store = self.dir / "store"
        self.fails("save", "--platform", "linux/s390x", "--platform", both[0], "-o", self.dir / "x.tar", "all",
                   says="no suitable export target found for platform linux/s390x")
        self.fails("save", "--all-platforms", "--platform", both[0], "all", says="exclude each other")

    def test_an_index_of_which_one_image_was_saved_names_the_others_still(self):
        self.all_here()
        third = self.image_for("s390x")[0]
        self.keg("manifest", "create", "three", "all", third)
        self.keg("save", "-f", "oci-archive", "-o", self.dir / "three.tar", "--platform", f"linux/{HERE},linux/{OTHER}", "three")
        index, self.store = self.inspect("three"), self.dir / "other"
        self.keg("load", "-i", self.dir / "three.tar")
        self.assertEqual(self.inspect("three"), index)
        self.assertEqual([row[-1] for row in self.rows()[2:]][-1], "not here")
        self.fails("image", "inspect", "--platform", "linux/s390x", "three", says="wanted linux/s390x")

    def test_what_is_for_other_machines_alone_is_loaded_under_its_name(self):
        self.all_here()
        third = self.image_for("s390x")[0]
        self.keg("pull", "-q", "--platform", "linux/s390x", third)
        self.keg("manifest", "create", "three", "all", third)
        self.keg("save", "-f", "oci-archive", "-o", self.dir / "three.tar", "--platform", f"linux/s390x,linux/{OTHER}", "three")
        self.store = self.dir / "other"
        self.assertEqual(self.keg("load", "-i", self.dir / "three.tar").stdout, "Loaded image: three:latest\n")
        self.assertEqual([row[-1] == "not here" for row in self.rows()[2:]], [True, False, False])

    @needs("skopeo")
    def test_skopeo_reads_what_was_saved_of_several_platforms(self):
        self.all_here()
        for form, options in (("oci-archive", ["--all"]), ("docker-archive", [])):
            self.keg("save", "-f", form, "-o", self.dir / "a.tar", "--all-platforms", "all")
            run("skopeo", "copy", "-q", *options, f"{form}:{self.dir}/a.tar", f"dir:{self.dir}/{form}")

    def test_one_platforms_image_is_removed(self):
        self.all_here()
        index = self.inspect("all")
        self.assertEqual(self.keg("rmi", "--platform", f"linux/{HERE}", "all").stdout, f"Deleted: {self.here}\n")
        self.assertEqual(self.inspect("all"), index)   # its name and its digest stay
        self.assertEqual([row[-1] for row in self.rows()[2:]][0], "not here")
        self.assertEqual(self.keg("images").stderr, "")
        self.assertEqual(self.keg("system", "check").stderr, "")
        self.assertEqual(json.loads(self.keg("image", "inspect", "all").stdout)[0]["Architecture"], OTHER)
        self.fails("rmi", "--platform", f"linux/{HERE}", "all", says=f"wanted linux/{HERE}")
        self.keg("rmi", "--platform", f"linux/{OTHER},linux/{OTHER}", "all", check=False)
        self.assertEqual(self.rows()[1][0].split()[0], "all:latest")
        self.keg("rmi", "all")
        self.assertEqual(self.keg("images", "-q").stdout, "")

    def test_what_has_a_name_of_its_own_is_not_removed_from_below_it(self):
        self.all_here()
        self.keg("pull", "-q", "--platform", f"linux/{OTHER}", self.names[1])
        self.fails("rmi", "--platform", f"linux/{OTHER}", "all", says=f"image is referenced as {self.names[1]}")


@needs("docker-registry")
class Others(DebianCase):
    """What Debian's docker-registry has of one is read by the other."""

    def two_images(self, host):
        """An image for this machine, and the same for another one, in the registry."""
        for architecture in (HERE, OTHER):
            layer = tar_of({"hello": architecture.encode()})
            there = self.registry()
            answers, _ = registry_image("app", "1", [layer], config_for(architecture, layer))
            there.put_image(answers, "app")
            self.keg("copy", "-q", f"docker://{there.host}/app:1", f"docker://{host}/lib/app:{architecture}")
        return [f"{host}/lib/app:{architecture}" for architecture in (HERE, OTHER)]

    @needs("skopeo")
    def test_skopeo_reads_a_list_that_keg_has_pushed(self):
        host = self.serve()
        self.keg("manifest", "create", f"{host}/lib/app:all", *self.two_images(host))
        self.keg("manifest", "push", f"{host}/lib/app:all")
        run("skopeo", "copy", "-q", "--all", "--src-tls-verify=false", f"docker://{host}/lib/app:all", f"oci:{self.dir}/skopeo:all")
        index = json.loads(run("skopeo", "inspect", "--raw", f"oci:{self.dir}/skopeo:all").stdout)
        self.assertEqual([each["platform"]["architecture"] for each in index["manifests"]], [HERE, OTHER])

    @needs_root
    @needs("podman")
    def test_podmans_list_is_read_by_keg_and_kegs_by_podman(self):
        host = self.serve()
        one, two = self.two_images(host)
        podman = ["podman", "--root", self.dir / "podman", "--runroot", self.dir / "podman-run", "--storage-driver=vfs"]
        config = self.write("podman.conf", f'[[registry]]\nlocation = "{host}"\ninsecure = true\n'.encode())

        def podman_does(*words):
            return run(*podman, *words, env=os.environ | {"CONTAINERS_REGISTRIES_CONF": str(config)}).stdout
        podman_does("manifest", "create", f"{host}/lib/app:podman")
        for name in (one, two):
            podman_does("manifest", "add", f"{host}/lib/app:podman", f"docker://{name}")
        podman_does("manifest", "push", "--all", f"{host}/lib/app:podman", f"docker://{host}/lib/app:podman")
        theirs = json.loads(self.keg("manifest", "inspect", f"{host}/lib/app:podman").stdout)
        self.keg("manifest", "create", f"{host}/lib/app:keg", f"{host}/lib/app:podman")
        self.keg("manifest", "push", f"{host}/lib/app:keg")
        ours = json.loads(podman_does("manifest", "inspect", f"{host}/lib/app:keg"))
        self.assertEqual([each["digest"] for each in ours["manifests"]], [each["digest"] for each in theirs["manifests"]])
        podman_does("pull", "-q", f"{host}/lib/app:keg")


if __name__ == "__main__":
    unittest.main()
