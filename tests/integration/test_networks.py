"""Networks of the user: who is in one knows the others by name, by a resolver of its own; who is not in it reaches
nobody there. Addresses that were asked for, several networks, networks without a way out."""
import json

import keg
from keg import wait_until
from test_engine import EngineCase


@keg.needs_root
class Networks(EngineCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(lambda: keg.run(keg.KEG, "--root", self.store, "network", "prune", "-f", check=False))

    def up(self, name, *options):
        self.keg("run", "-d", "--name", name, *options, "base", "sleep", "1000")

    def address(self, name, network):
        return self.keg("inspect", "-f", "{{(index .NetworkSettings.Networks \"%s\").IPAddress}}" % network, name).stdout.strip()

    def inside(self, name, *words, check=True):
        return self.keg("exec", name, *words, check=check)

    def test_the_life_of_a_network(self):
        made = self.keg("network", "create", "--label", "a=b", "net1").stdout.strip()
        self.assertEqual(len(made), 64)
        self.assertEqual(self.keg("network", "ls", "--format", "{{.Name}} {{.Driver}}").stdout.splitlines(),
                         ["bridge bridge", "host host", "net1 bridge", "none null"])
        shown = json.loads(self.keg("network", "inspect", "net1").stdout)[0]
        self.assertEqual((shown["Id"], shown["Labels"], shown["Containers"]), (made, {"a": "b"}, {}))
        self.fails("network", "create", "net1", says="network with name net1 already exists")
        self.fails("network", "create", "bridge", says="operation is not permitted on predefined bridge network")
        self.fails("network", "create", "--subnet", "10.1.2.3/24", "x1", says="it should be 10.1.2.0/24")
        self.fails("network", "create", "--subnet", shown["IPAM"]["Config"][0]["Subnet"], "x1", says="Pool overlaps with other one")
        self.fails("network", "create", "-d", "overlay", "x1", says='network driver "overlay" is not supported')
        self.fails("network", "rm", "none", says="is a pre-defined network and cannot be removed")
        self.up("in", "--network", "net1")
        self.fails("network", "rm", "net1", says='has active endpoints (name:"in")')
        self.assertEqual([one["Name"] for one in json.loads(self.keg("network", "inspect", "net1").stdout)[0]["Containers"].values()], ["in"])
        self.assertEqual(json.loads(self.keg("inspect", "in").stdout)[0]["NetworkSettings"]["Networks"]["net1"]["NetworkID"], made)
        self.keg("rm", "-f", "in")
        self.keg("network", "rm", made[:12])
        self.fails("network", "inspect", "net1", says="network net1 not found")
        self.fails("run", "--network", "net1", "base", "true", code=125, says="network net1 not found")
        self.assertEqual(self.keg("events", "--since", "1h", "--until", "0s", "--filter", "type=network", "--format", "{{.Action}}").stdout, "create\ndestroy\n")

    def test_containers_know_each_other_by_name_and_alias_and_reach_each_other(self):
        self.keg("network", "create", "net1")
        self.up("web", "--network", "net1", "--network-alias", "www")
        self.up("client", "--network", "net1")
        address = self.address("web", "net1")
        self.assertIn("nameserver 127.0.0.11", self.inside("client", "cat", "/etc/resolv.conf").stdout)
        for name in ("web", "www", "WEB", "web.net1", self.keg("ps", "-q", "--filter", "name=web").stdout.strip()):
            self.assertIn(address, self.inside("client", "nslookup", "-type=a", name).stdout, name)
        self.assertIn("web.net1", self.inside("client", "nslookup", address).stdout)
        self.inside("client", "ping", "-c", "1", "-W", "5", "www")
        self.keg("rm", "-f", "web")
        self.assertNotIn(address, self.inside("client", "nslookup", "-type=a", "web", check=False).stdout)

    def test_who_is_in_another_network_reaches_nobody_there(self):
        self.keg("network", "create", "one")
        self.keg("network", "create", "two")
        self.up("first", "--network", "one")
        self.up("second", "--network", "two")
        self.assertNotEqual(self.inside("second", "ping", "-c", "1", "-W", "1", self.address("first", "one"), check=False).returncode, 0)
        self.assertNotIn(self.address("first", "one"), self.inside("second", "nslookup", "-type=a", "first", check=False).stdout)
        self.up("both", "--network", "one", "--network", "two")
        for name in ("first", "second"):
            self.inside("both", "ping", "-c", "1", "-W", "5", name)
        self.assertEqual(len(json.loads(self.keg("inspect", "both").stdout)[0]["NetworkSettings"]["Networks"]), 2)

    def test_addresses_that_were_asked_for(self):
        self.keg("network", "create", "--subnet", "10.213.7.0/24", "--gateway", "10.213.7.254", "--ip-range", "10.213.7.64/28", "net1")
        self.up("fixed", "--network", "net1", "--ip", "10.213.7.9", "--mac-address", "02:42:aa:bb:cc:dd")
        self.assertEqual(self.address("fixed", "net1"), "10.213.7.9")
        self.assertIn("02:42:aa:bb:cc:dd", self.inside("fixed", "ip", "link").stdout)
        self.assertIn("default via 10.213.7.254", self.inside("fixed", "ip", "route").stdout)
        self.up("any", "--network", "name=net1,alias=other")
        self.assertEqual(self.address("any", "net1"), "10.213.7.64")
        self.inside("fixed", "ping", "-c", "1", "-W", "5", "other")
        self.fails("run", "--network", "net1", "--ip", "10.213.7.9", "base", "true", code=125, says="Address already in use")
        self.fails("run", "--network", "net1", "--ip", "10.9.9.9", "base", "true", code=125, says="no configured subnet contains IP address 10.9.9.9")
        for words, says in ((["--ip", "10.9.9.9"], "user specified IP address is supported on user-defined networks only"),
                            (["--network-alias", "x"], "network-scoped aliases are only supported for user-defined networks"),
                            (["--mac-address", "zz"], "zz is not a valid mac address"),
                            (["--network", "net1", "--network", "host"], "cannot attach both user-defined and non-user-defined network-modes"),
                            (["--network", "net1", "--network", "net1"], "is specified multiple times"),
                            (["--network", "none", "--ip", "10.9.9.9"], "--network none has neither addresses nor aliases")):
            with self.subTest(words=words):
                self.fails("run", *words, "base", "true", code=125, says=says)

    def test_nothing_leads_out_of_an_internal_network(self):
        self.keg("network", "create", "--internal", "inner")
        self.up("first", "--network", "inner")
        self.up("second", "--network", "inner")
        self.inside("first", "ping", "-c", "1", "-W", "5", "second")
        self.assertNotIn("default", self.inside("first", "ip", "route").stdout)

    def test_a_stopped_container_can_be_put_into_another_network(self):
        self.keg("network", "create", "net1")
        self.keg("create", "--name", "moves", "base", "sleep", "1000")
        self.keg("network", "connect", "--alias", "moved", "net1", "moves")
        self.keg("network", "disconnect", "bridge", "moves")
        self.keg("start", "moves")
        self.up("asks", "--network", "net1")
        self.assertIn(self.address("moves", "net1"), self.inside("asks", "nslookup", "-type=a", "moved").stdout)
        self.fails("network", "disconnect", "net1", "moves", says="keg changes the networks of stopped containers only")

    def test_a_link_is_known_by_its_alias(self):
        self.up("db")
        self.keg("run", "--rm", "--link", "db:database", "base", "ping", "-c", "1", "-W", "5", "database")
        self.keg("stop", "-t", "0", "db")
        self.fails("run", "--rm", "--link", "db:database", "base", "true", code=125, says="Cannot link to a non running container: /db AS /")

    def test_a_network_goes_with_its_last_container_and_comes_back_with_the_next(self):
        self.keg("network", "create", "--subnet", "10.214.9.0/24", "net1")
        is_there = lambda: "10.214.9.1/24" in keg.run("ip", "-o", "addr").stdout
        for _ in range(2):
            self.up("alone", "--network", "net1")
            self.assertTrue(is_there())
            self.keg("rm", "-f", "alone")
            wait_until(lambda: not is_there(), "the bridge to go")
