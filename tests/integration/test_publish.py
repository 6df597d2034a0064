"""Published ports, seen from everywhere: keg runs in a network namespace that plays the host, with a
machine outside behind its uplink. Nothing in the machine's own network changes."""
import os
import subprocess
import sys
import unittest

import keg
from keg import PATIENCE, needs, wait_until

HOST, OUTSIDE = "203.0.113.2", "203.0.113.1"
# Prints the address that somebody announces as his own on that device.
LISTEN_FOR_ARP = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
s.bind((sys.argv[1], 0))
print("listening", flush=True)
while True:
    arp = s.recv(100)[14:42]
    if arp[14:18] == arp[24:28]:
        print(socket.inet_ntoa(arp[14:18]), flush=True)
"""


def inside(namespace, *argv, **options):
    """In that network namespace; mounts stay those of the test, as a second shell on a host has them."""
    return keg.run("nsenter", f"--net=/run/netns/{namespace}", "--", *argv, **options)


@keg.needs_root
@keg.needs("curl")
@keg.needs("ip")
class Publish(keg.StoreCase):
    def setUp(self):
        self.host, self.outside = f"keg-h{os.getpid()}", f"keg-x{os.getpid()}"
        for namespace in (self.host, self.outside):
            keg.run("ip", "netns", "add", namespace)
            self.addCleanup(keg.run, "ip", "netns", "del", namespace, check=False)
            keg.run("ip", "-n", namespace, "link", "set", "lo", "up")
        keg.run("ip", "link", "add", "up0", "netns", self.host, "type", "veth", "peer", "name", "eth0", "netns", self.outside)
        for namespace, device, v4, v6 in ((self.host, "up0", HOST, "2001:db8::2"), (self.outside, "eth0", OUTSIDE, "2001:db8::1")):
            keg.run("ip", "-n", namespace, "addr", "add", f"{v4}/24", "dev", device)
            keg.run("ip", "-n", namespace, "addr", "add", f"{v6}/64", "dev", device, "nodad")
            keg.run("ip", "-n", namespace, "link", "set", device, "up")
        self.servers = []
        self.addCleanup(lambda: [(server.kill(), server.wait()) for server in self.servers])
        super().setUp()   # last, so that its clean-up finds the namespaces

    def keg(self, *words, check=True, store=None, **options):
        return inside(self.host, keg.KEG, "--root", store or self.store, *words, check=check, **options)

    def serve(self, *options, text="container"):
        return self.keg("run", "-d", *options, "base", "sh", "-c", f"mkdir -p /www; echo {text} > /www/index.html; exec httpd -f -p 80 -h /www").stdout.strip()

    def serve_beside(self, namespace, address, text):
        """A server that is no container."""
        directory = self.dir / f"www-{text}"
        directory.mkdir()
        (directory / "index.html").write_text(text + "\n")
        self.servers.append(subprocess.Popen(["nsenter", f"--net=/run/netns/{namespace}", "busybox", "httpd", "-f", "-p", address, "-h", directory]))

    def address(self, name):
        return self.keg("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name).stdout.strip()

    def get(self, namespace, url):
        """What is served there, once a server that has just been started answers."""
        return wait_until(lambda: inside(namespace, "curl", "-gsS", "-m", "2", url, check=False).stdout.strip(), url)

    def gets_nothing(self, namespace, url):
        self.assertNotEqual(inside(namespace, "curl", "-gsS", "-m", "1", url, check=False).returncode, 0, url)

    def is_refused(self, namespace, url):
        """Told so, where an answer that never comes would be another error."""
        result = inside(namespace, "curl", "-gsS", "-m", PATIENCE, url, check=False)
        self.assertEqual(result.returncode, 7, result.stderr)

    def get_from(self, container, url):
        return wait_until(lambda: self.keg("exec", container, "timeout", "3", "wget", "-qO-", url, check=False).stdout.strip(), url)

    def gets_nothing_from(self, container, url):
        self.assertEqual(self.keg("exec", container, "timeout", "3", "wget", "-qO-", url, check=False).stdout, "")

    def test_a_port_is_reached_from_everywhere_it_was_published_to(self):
        self.serve("--name", "web", "-p", "8081:80", "-p", "127.0.0.1:8080:80", "-p", f"{HOST}:8082:80")
        self.serve("--name", "other", text="other")
        address, gateway = self.address("web"), self.keg("inspect", "-f", "{{.NetworkSettings.Gateway}}", "web").stdout.strip()
        for namespace, url in ((self.host, "127.0.0.1:8080"), (self.host, "127.0.0.1:8081"), (self.host, f"{HOST}:8081"),
                               (self.host, f"{HOST}:8082"), (self.host, f"{address}:80"), (self.outside, f"{HOST}:8081"),
                               (self.outside, f"{HOST}:8082")):
            with self.subTest(url=url, namespace=namespace):
                self.assertEqual(self.get(namespace, f"http://{url}/"), "container")
        for container in ("other", "web"):   # a neighbour, and the container itself
            for url in (f"{HOST}:8081", f"{gateway}:8081", f"{HOST}:8082", f"{address}:80"):
                with self.subTest(url=url, container=container):
                    self.assertEqual(self.get_from(container, f"http://{url}/"), "container")
        self.gets_nothing(self.outside, f"http://{HOST}:8080/")       # loopback is the host's own
        self.gets_nothing(self.host, "http://127.0.0.1:8082/")
        for url in ("[::1]:8081", "[2001:db8::2]:8081"):              # IPv4 only: refused, not swallowed
            self.is_refused(self.host, f"http://{url}/")

    def test_what_was_not_published_is_not_reached_from_outside(self):
        self.serve("--name", "web", "-p", "8081:80")
        subnet = self.address("web").rsplit(".", 2)[0] + ".0.0/16"
        keg.run("ip", "-n", self.outside, "route", "add", subnet, "via", HOST)
        self.assertEqual(self.get(self.outside, f"http://{HOST}:8081/"), "container")
        self.gets_nothing(self.outside, f"http://{self.address('web')}:80/")

    def test_a_container_reaches_the_world_with_the_hosts_address(self):
        self.serve_beside(self.outside, "80", "outside")
        self.serve("--name", "web")
        self.assertEqual(self.get(self.host, f"http://{OUTSIDE}/"), "outside")
        self.assertEqual(self.get_from("web", f"http://{OUTSIDE}/"), "outside")

    def test_the_hosts_loopback_is_closed_to_containers(self):
        self.serve_beside(self.host, "127.0.0.1:9", "private")
        self.serve("--name", "evil", "--cap-add", "NET_ADMIN", "--sysctl", "net.ipv4.conf.all.route_localnet=1", "-p", "127.0.0.1:8080:80")
        gateway = self.keg("inspect", "-f", "{{.NetworkSettings.Gateway}}", "evil").stdout.strip()
        self.keg("exec", "evil", "sh", "-c", f"ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via {gateway}")
        self.assertEqual(self.get(self.host, "http://127.0.0.1:9/"), "private")
        self.gets_nothing_from("evil", "http://127.0.0.1:9/")
        # The control: it is keg's rule that stops it.
        [table] = [line.split()[2] for line in inside(self.host, "nft", "list", "tables").stdout.splitlines()
                   if " keg_" in line and not line.endswith(" keg_forward")]    # that is the one for who was no router
        inside(self.host, "nft", "flush", "chain", "inet", table, "guard")
        self.assertEqual(self.get_from("evil", "http://127.0.0.1:9/"), "private")

    def test_ranges_and_exposed_ports(self):
        self.serve("--name", "range", "-p", "8090-8092:80-82", "-p", "8080-8085:80")
        self.assertEqual(self.keg("port", "range", "80").stdout, "0.0.0.0:8090\n0.0.0.0:8080\n")
        self.assertEqual(self.get(self.outside, f"http://{HOST}:8090/"), "container")
        self.serve("--name", "next", "-p", "8080-8085:80", text="next")     # the first that is free
        self.assertEqual(self.keg("port", "next").stdout, "80/tcp -> 0.0.0.0:8081\n")
        self.assertEqual(self.get(self.outside, f"http://{HOST}:8081/"), "next")
        self.serve("--name", "all", "--expose", "80", "-P", text="all")
        port = self.keg("port", "all", "80/tcp").stdout.strip().rsplit(":", 1)[1]
        self.assertEqual(self.get(self.outside, f"http://{HOST}:{port}/"), "all")

    def test_a_port_has_one_owner(self):
        self.serve("--name", "web", "-p", "8081:80")
        self.fails("run", "--rm", "-p", "8081:80", "base", "true", code=125, says="Bind for 0.0.0.0:8081 failed: port is already allocated")
        self.fails("run", "--rm", "-p", f"{HOST}:8081:80", "base", "true", code=125, says="port is already allocated")
        self.serve_beside(self.host, "8083", "taken")
        self.assertEqual(self.get(self.host, "http://127.0.0.1:8083/"), "taken")
        self.fails("run", "--rm", "-p", "8083:80", "base", "true", code=125, says="address already in use")
        self.fails("run", "--rm", "-p", "70000:80", "base", "true", code=125, says="invalid hostPort: 70000")
        self.assertEqual(self.get(self.host, "http://127.0.0.1:8081/"), "container")   # none of them hurt the owner
        # Nor may the host take what is published.
        taken = inside(self.host, "python3", "-c", "import socket; socket.socket().bind(('0.0.0.0', 8081))", check=False)
        self.assertIn("Address already in use", taken.stderr)

    # --- UDP

    def serve_udp(self, name, *options):
        self.keg("run", "-d", "--name", name, *options, "base", "sleep", "1000")
        pid = self.keg("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
        script = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 53))\n"
                  f"while True: s.sendto(b'{name}', s.recvfrom(100)[1])")
        self.servers.append(subprocess.Popen(["nsenter", f"--net=/proc/{pid}/ns/net", "python3", "-c", script]))

    def ask(self, namespace, port, tries=PATIENCE * 3, source=None):
        """Sends datagrams to the published port from one socket, three in a second, and gives the first answer."""
        script = ("import socket,sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.3)\n"
                  f"s.bind(('0.0.0.0', {source or 0}))\n"
                  f"for i in range({tries}):\n s.sendto(b'q', ('{HOST}', {port}))\n try: print(s.recv(100).decode().strip()); sys.exit()\n except OSError: pass\n")
        return inside(namespace, "python3", "-c", script).stdout.strip()

    def rules(self):
        return inside(self.host, "nft", "list", "ruleset").stdout

    def bridge(self):
        links = inside(self.host, "ip", "-o", "link", "show", "type", "bridge").stdout
        return next(word.rstrip(":") for word in links.split() if word.startswith("keg-"))

    def test_rules_that_somebody_flushed_come_back_with_the_next_container(self):
        self.serve("--name", "one", "-p", "8081:80", text="one")
        self.serve("--name", "two", "-p", "8082:80", text="two")
        self.assertEqual(self.get(self.outside, f"http://{HOST}:8081/"), "one")
        inside(self.host, "nft", "flush", "ruleset")
        self.gets_nothing(self.outside, f"http://{HOST}:8081/")
        self.keg("restart", "-t", "0", "two")
        for port, text in ((8081, "one"), (8082, "two")):
            with self.subTest(text):
                self.assertEqual(self.get(self.outside, f"http://{HOST}:{port}/"), text)
        table = next(line.split()[2] for line in self.rules().splitlines() if line.startswith("table inet keg_") and "keg_forward" not in line)
        listing = lambda: inside(self.host, "nft", "list", "table", "inet", table).stdout
        before = listing()
        inside(self.host, "nft", "flush", "chain", "inet", table, "prerouting")   # a part of them
        self.assertNotEqual(listing(), before)
        self.keg("run", "--rm", "base", "true")
        self.assertEqual(listing(), before)

    def test_a_bridge_that_somebody_deleted_comes_back_with_its_containers(self):
        self.serve("--name", "web", "-p", "8081:80")
        self.assertEqual(self.get(self.host, f"http://{self.address('web')}/"), "container")
        inside(self.host, "ip", "link", "del", self.bridge())
        self.keg("run", "--rm", "base", "true")
        self.assertEqual(self.get(self.host, f"http://{self.address('web')}/"), "container")
        self.assertEqual(self.get(self.outside, f"http://{HOST}:8081/"), "container")

    def test_a_restarted_container_is_reached_at_once(self):
        self.serve("--name", "web", "-p", "8081:80")
        state = lambda: self.keg("inspect", "-f", "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}}", "web").stdout.split()
        address, mac = before = state()
        self.assertEqual(mac, "02:42:" + ":".join(f"{int(part):02x}" for part in address.split(".")))
        self.assertEqual(self.get(self.outside, f"http://{HOST}:8081/"), "container")
        self.keg("restart", "-t", "0", "web")
        self.assertEqual(self.get(self.outside, f"http://{HOST}:8081/"), "container")
        self.assertEqual(state(), before)

    def test_a_container_that_starts_announces_its_address(self):
        self.serve("--name", "first")   # there is a bridge to listen at
        listener = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.host}", sys.executable, "-c", LISTEN_FOR_ARP, self.bridge()],
                                    stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self.servers.append(listener)
        self.assertEqual(listener.stdout.readline(), "listening\n")
        self.serve("--name", "second")
        self.assertEqual(listener.stdout.readline().strip(), self.address("second"))
        listener.stdout.close()

    def test_a_firewall_of_others_that_drops_is_told(self):
        inside(self.host, "nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }")
        container = self.keg("run", "-d", "--name", "deaf", "-p", "8081:80", "base", "httpd", "-f", "-p", "80", "-h", "/etc")
        self.assertEqual(len(container.stderr.splitlines()), 1)
        self.assertIn("chain FORWARD of table ip filter", container.stderr)
        inside(self.host, "nft", 'add rule ip filter FORWARD iifname "keg-*" accept; add rule ip filter FORWARD oifname "keg-*" accept')
        silent = self.keg("run", "-d", "--name", "heard", "-p", "8082:80", "base", "sh", "-c", "echo heard > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
        self.assertEqual(silent.stderr, "")
        self.assertEqual(self.get(self.outside, f"http://{HOST}:8082/"), "heard")

    @needs("iptables-legacy")
    def test_so_is_one_of_iptables_legacy_that_nftables_does_not_show(self):
        legacy = lambda *words, check=True: inside(self.host, "iptables-legacy", *words, check=check)
        names = lambda: inside(self.host, "cat", "/proc/net/ip_tables_names", check=False).stdout
        self.keg("run", "--rm", "base", "true")
        self.assertEqual(names(), "", "keg has made a table that nobody used")
        if legacy("-P", "FORWARD", "DROP", check=False).returncode != 0:
            self.skipTest("this kernel has no tables for iptables-legacy")
        container = self.keg("run", "-d", "--name", "deaf", "-p", "8081:80", "base", "httpd", "-f", "-p", "80", "-h", "/etc")
        self.assertEqual(len(container.stderr.splitlines()), 1, container.stderr)
        self.assertIn("chain FORWARD of iptables-legacy's table filter", container.stderr)
        # What the warning says helps; and one that lets all through needs no word.
        legacy("-A", "FORWARD", "-s", "203.0.113.9", "-j", "ACCEPT")
        legacy("-A", "FORWARD", "-i", "keg-+", "-j", "ACCEPT")
        legacy("-A", "FORWARD", "-o", "keg-+", "-j", "ACCEPT")
        silent = self.keg("run", "-d", "--name", "heard", "-p", "8082:80", "base", "sh", "-c", "echo heard > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
        self.assertEqual(silent.stderr, "")
        self.assertEqual(self.get(self.outside, f"http://{HOST}:8082/"), "heard")
        legacy("-F", "FORWARD")
        legacy("-P", "FORWARD", "ACCEPT")
        self.assertEqual(self.keg("run", "--rm", "base", "true").stderr, "")

    def test_a_host_that_was_no_router_is_none_for_others(self):
        forwarding = lambda name: inside(self.host, "cat", f"/proc/sys/net/ipv4/conf/{name}/forwarding").stdout.strip()
        inside(self.host, "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
        third = f"keg-y{os.getpid()}"
        keg.run("ip", "netns", "add", third)
        self.addCleanup(keg.run, "ip", "netns", "del", third, check=False)
        keg.run("ip", "link", "add", "lan0", "netns", self.host, "type", "veth", "peer", "name", "eth0", "netns", third)
        for namespace, device, address in ((self.host, "lan0", "198.51.100.1"), (third, "eth0", "198.51.100.2")):
            keg.run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", device)
            keg.run("ip", "-n", namespace, "link", "set", device, "up")
        keg.run("ip", "-n", third, "route", "add", "default", "via", "198.51.100.1")
        keg.run("ip", "-n", self.outside, "route", "add", "198.51.100.0/24", "via", HOST)
        reaches = lambda: inside(third, "busybox", "ping", "-c", "1", "-W", "1", OUTSIDE, check=False).returncode == 0
        self.assertFalse(reaches())
        self.serve("--name", "web", "-p", "8081:80")
        self.assertEqual(self.get(self.outside, f"http://{HOST}:8081/"), "container")
        self.assertEqual(self.get(third, "http://198.51.100.1:8081/"), "container")
        self.assertFalse(reaches())
        self.assertEqual(inside(self.host, "cat", "/proc/sys/net/ipv4/ip_forward").stdout.strip(), "0")
        # The control: it is keg's rule that stops them.
        self.assertEqual((forwarding("lan0"), forwarding("up0")), ("1", "1"))
        inside(self.host, "nft", "flush", "table", "inet", "keg_forward")
        wait_until(reaches, "an answer from outside")
        self.keg("run", "--rm", "base", "true")
        self.assertFalse(reaches())
        # What keg changed goes with its last container.
        self.keg("rm", "-f", "web")
        left = lambda: (forwarding("lan0"), forwarding("up0"), "keg" in self.rules())
        wait_until(lambda: left() == ("0", "0", False), "a host as it was", left)

    def test_udp_is_published_too(self):
        self.serve_udp("dns", "-p", "5353:53/udp")
        self.assertEqual(self.keg("ps", "--format", "{{.Ports}}").stdout, "0.0.0.0:5353->53/udp\n")
        self.assertEqual(self.ask(self.outside, 5353), "dns")
        self.keg("run", "--rm", "-p", "5353:80", "base", "true")   # TCP's is another

    def test_who_asked_before_the_container_was_there_is_heard(self):
        self.keg("run", "-d", "base", "sleep", "1000")    # the network is there
        self.ask(self.outside, 5353, tries=1, source=4444)   # the kernel remembers this flow, without a container
        self.serve_udp("first", "-p", "5353:53/udp")
        self.assertEqual(self.ask(self.outside, 5353, source=4444), "first")
        # And it remembers the first container's address when another has the port.
        self.servers[-1].kill()
        self.keg("rm", "-f", "first")
        self.keg("run", "-d", "base", "sleep", "1000")    # takes the free address
        self.serve_udp("second", "-p", "5353:53/udp")
        self.assertEqual(self.ask(self.outside, 5353, source=4444), "second")

    # --- two stores on one host

    def test_two_stores_have_networks_of_their_own(self):
        second = self.dir / "second"
        self.keg("import", self.dir / "busybox.tar", "base", store=second)
        self.serve("--name", "web", "-p", "8081:80")
        self.keg("run", "-d", "--name", "web", "-p", "8082:80", "base", "sh", "-c", "mkdir /www; echo second > /www/index.html; exec httpd -f -p 80 -h /www", store=second)
        try:
            other = self.keg("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web", store=second).stdout.strip()
            self.assertNotEqual(other.rsplit(".", 2)[0], self.address("web").rsplit(".", 2)[0])
            self.assertEqual(self.get(self.outside, f"http://{HOST}:8081/"), "container")
            self.assertEqual(self.get(self.outside, f"http://{HOST}:8082/"), "second")
            self.assertEqual(self.get_from("web", f"http://{HOST}:8082/"), "second")    # through the host, by its published port
            self.gets_nothing_from("web", f"http://{other}/")                           # and not beside it
            self.fails("run", "--rm", "-p", "8082:80", "base", "true", code=125)
            self.assertEqual(len(self.keg("ps", "-q").stdout.split()), 1)
        finally:
            self.keg("rm", "-f", "web", store=second)


if __name__ == "__main__":
    unittest.main()
