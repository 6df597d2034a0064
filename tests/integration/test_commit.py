"""`keg commit`: what a container has changed becomes a layer, and what a start put into its files does not."""
import os
import struct
import tarfile
import unittest

import keg


class Commit(keg.StoreCase):
    def one(self, script="true", *options, image="base"):
        self.keg("run", "--name", "one", "--network", "none", *options, image, "sh", "-c", script)

    def committed(self, *words):
        """The image's config, and the members of its newest layer."""
        self.keg("commit", *words, "one", "new")
        return self.config("new"), self.top_layer("new")

    def test_what_the_container_made_changed_and_removed(self):
        self.one("echo hi > /new; ln /new /hard; ln -s new /link; rm /bin/ls; mkdir -p /d/e; chown 5:6 /d; chmod 700 /bin")
        _, layer = self.committed()
        self.assertEqual(set(layer), {"bin", "bin/.wh.ls", "d", "d/e", "hard", "link", "new"})
        self.assertEqual((layer["d"].uid, layer["d"].gid, layer["bin"].mode), (5, 6, 0o700))
        self.assertEqual({layer["new"].type, layer["hard"].type}, {tarfile.REGTYPE, tarfile.LNKTYPE})
        shown = self.keg("run", "--rm", "--network", "none", "new", "sh", "-c", "cat /hard; test -e /bin/ls || echo gone").stdout
        self.assertEqual(shown, "hi\ngone\n")

    def test_the_places_that_a_start_mounts_on_are_no_part_of_it(self):
        self.one("echo x > /data/x", "-v", "/data", "-v", "/deep/er/volume", "--tmpfs", "/var/scratch")
        self.keg("commit", "one", "new")
        self.assertEqual(self.layers("new"), self.layers("base"))
        self.assertEqual(self.keg("history", "--format", "{{.Size}}", "new").stdout.splitlines()[0], "0B")

    def test_a_directory_that_was_made_for_a_mount_stays_if_the_container_uses_it(self):
        self.one("echo x > /deep/own", "-v", "/deep/er/volume")
        self.assertEqual(set(self.committed()[1]), {"deep", "deep/own"})

    def test_a_link_of_the_image_to_where_a_mount_goes(self):
        self.one("mkdir -p /run; ln -s /run /aside")
        self.keg("commit", "one", "linked")
        self.keg("rm", "one")
        self.one("echo x > /aside/in/x; echo y > /y", "-v", "/aside/in", image="linked")
        self.assertEqual(set(self.committed()[1]), {"y"})

    def test_settings_are_those_of_the_container_then_the_changes(self):
        self.one("true", "-e", "A=1", "-w", "/tmp", "-u", "5:6", "-l", "kind=test", "--expose", "80", "--stop-signal", "INT")
        self.keg("commit", "-a", "Ada", "-m", "why", "-c", 'CMD ["sh"]', "-c", "ENV B=2", "one", "new")
        made = self.config("new")
        config = made["Config"]
        self.assertEqual((config["Cmd"], config["WorkingDir"], config["User"]), (["sh"], "/tmp", "5:6"))
        self.assertTrue({"A=1", "B=2"} <= set(config["Env"]), config["Env"])
        self.assertEqual((config["Labels"], list(config["ExposedPorts"])), ({"kind": "test"}, ["80/tcp"]))
        self.assertEqual((made["Author"], config["StopSignal"]), ("Ada", "INT"))
        newest = self.keg("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "new").stdout.splitlines()[0]
        self.assertEqual(newest, "sh -c true|why")

    def with_attributes(self, name, **attributes):
        """A container of that image that runs, to whose root somebody gives these attributes."""
        self.keg("run", "-d", "--name", "one", "--network", "none", name, "sleep", "1000")
        root = "/proc/" + self.keg("inspect", "-f", "{{.State.Pid}}", "one").stdout.strip() + "/root/."
        for key, value in attributes.items():
            os.setxattr(root, key.replace("__", "."), value)
        return root

    def test_attributes_of_the_root_are_part_of_it_and_stay(self):
        # Version 2; the owner, user 7, the group, the mask, others.
        access = b"\2\0\0\0" + b"".join(struct.pack("<HHi", *entry) for entry in
                                       ((1, 7, -1), (2, 5, 7), (4, 5, -1), (16, 5, -1), (32, 5, -1)))
        self.with_attributes("base", user__mine=b"1", system__posix_acl_access=access)
        root = self.committed()[1]["."]
        self.assertEqual(root.pax_headers["SCHILY.xattr.user.mine"], "1")
        self.assertIn("SCHILY.xattr.system.posix_acl_access", root.pax_headers)
        self.keg("rm", "-f", "one")

        root = self.with_attributes("new")
        self.assertEqual((os.getxattr(root, "user.mine"), os.getxattr(root, "system.posix_acl_access")), (b"1", access))
        self.keg("exec", "one", "touch", "/x")
        self.keg("commit", "one", "newer")
        self.assertEqual(set(self.top_layer("newer")), {"x"})
        os.removexattr(root, "user.mine")
        self.keg("commit", "one", "newer")
        self.assertEqual(set(self.top_layer("newer")), {".", "x"})

    def test_of_a_container_that_runs_it_is_paused_meanwhile_and_goes_on(self):
        self.keg("run", "-d", "--name", "one", "--network", "none", "base", "sh", "-c",
                 "echo hi > /new; while :; do date > /now; sleep 0.1; done")
        keg.wait_until(lambda: self.keg("exec", "one", "cat", "/now", check=False).stdout, "the container to write")
        self.keg("commit", "one", "new")
        self.assertEqual(set(self.top_layer("new")), {"new", "now"})
        self.assertEqual(self.keg("inspect", "-f", "{{.State.Status}}", "one").stdout, "running\n")
        self.keg("pause", "one")
        self.keg("commit", "--pause=false", "one", "again")
        self.keg("commit", "one", "again")
        self.assertEqual(self.keg("inspect", "-f", "{{.State.Status}}", "one").stdout, "paused\n")

    def test_of_a_container_that_never_ran_and_without_a_name(self):
        self.keg("create", "--name", "one", "base", "true")
        made = self.keg("commit", "one").stdout.strip()
        self.assertEqual(self.layers(made), self.layers("base"))
        self.assertIn("<none>", self.keg("images", "-a").stdout)

    def test_the_old_image_stays_when_it_loses_its_name(self):
        self.one("echo hi > /new", image="base")
        before = self.image_id("base")
        self.keg("commit", "one", "base")
        self.assertNotEqual(self.image_id("base"), before)
        self.assertEqual(self.config(before)["Id"], before)

    def test_mistakes(self):
        self.one()
        self.fails("commit", "none", "new", says="No such container: none")
        self.fails("commit", "one", "New", says="New")
        self.fails("commit", "-c", "RUN ls", "one", "new", says="RUN is not a valid change command")
        self.assertEqual(self.keg("images", "-q", "new").stdout, "")


class CommitOnPlainFiles(Commit):
    """The same where the kernel cannot mount indexes of layers."""

    def setUp(self):
        super().setUp()
        self.keep_plain_files()
        self.keg("rmi", "base")
        self.keg("import", self.dir / "busybox.tar", "base")


if __name__ == "__main__":
    unittest.main()
