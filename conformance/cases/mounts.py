"""mounts[]: order, sources, every option, recursive attributes, propagation, id mapping (config.md, config-linux.md)."""
import os
import re
import subprocess

from bench import USERS, case, rows


def tmpfs(destination="/mnt", *options, **more):
    return {"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": list(options), **more}


def bind(bench, *options, inside="/mnt", kind="bind", name="source"):
    """A directory of the host with a file in it, and the mount that brings it in."""
    source = bench.dir / name
    source.mkdir(exist_ok=True)
    (source / "file").write_text("from outside\n")
    return {"destination": inside, "type": kind, "source": str(source), "options": list(options)}


def flags_of(bench, where="/mnt"):
    """What mountinfo says inside: the mount's options, its propagation, the file system's options."""
    for line in bench.sh("cat /proc/self/mountinfo", patch=bench.patch).splitlines():
        before, after = line.split(" - ")
        fields = before.split()
        if fields[4] == where:
            return fields[5].split(","), [f.split(":")[0] for f in fields[6:]], after.split()[2].split(",")
    return [], [], []


# The bundles are on a tmpfs.
MAPS_TMPFS = (tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups())) >= (6, 3), "a tmpfs can be id-mapped since Linux 6.3")


# option: what must be among the mount's and the file system's options, what must not
FLAGS = {
    "ro": ("ro", "rw"), "rw": ("rw", "ro"), "nosuid": ("nosuid", ""), "suid": ("", "nosuid"), "nodev": ("nodev", ""), "dev": ("", "nodev"),
    "noexec": ("noexec", ""), "exec": ("", "noexec"), "noatime": ("noatime", "relatime"), "nodiratime": ("nodiratime", ""),
    "diratime": ("", "nodiratime"), "relatime": ("relatime", "noatime"), "strictatime": ("", "relatime"), "nosymfollow": ("nosymfollow", ""),
    "symfollow": ("", "nosymfollow"), "defaults": ("rw", "ro"), "async": ("", "sync"), "atime": ("", "noatime"), "norelatime": ("", "nodev"),
    "nostrictatime": ("relatime", ""), "loud": ("rw", ""), "silent": ("rw", ""), "nolazytime": ("", "lazytime"), "nomand": ("", "mand"),
    "noiversion": ("", "iversion"),
    "sync": ("sync", ""), "dirsync": ("dirsync", ""), "lazytime": ("lazytime", ""), "iversion": ("rw", ""),
}


def option(bench, word, wanted, unwanted):
    bench.patch = {"mounts+": [tmpfs("/mnt", word)]}
    mount, _, superblock = flags_of(bench)
    bench.true(mount, "nothing is mounted")
    if wanted:
        bench.true(wanted in mount + superblock, f"{wanted} is not among {mount + superblock}")
    bench.true(unwanted not in mount or not unwanted, f"{unwanted} is among {mount}")


# The flags of the mount below, which the option must reach as well.
RECURSIVE = {"rro": ("ro", ""), "rrw": ("rw", ""), "rnosuid": ("nosuid", ""), "rsuid": ("", "nosuid"), "rnodev": ("nodev", ""), "rdev": ("", "nodev"),
             "rnoexec": ("noexec", ""), "rexec": ("", "noexec"), "rnoatime": ("noatime", ""), "ratime": ("", "noatime"),
             "rnodiratime": ("nodiratime", ""), "rdiratime": ("", "nodiratime"), "rrelatime": ("relatime", ""), "rstrictatime": ("", "relatime"),
             "rnosymfollow": ("nosymfollow", ""), "rsymfollow": ("", "nosymfollow")}


def recursive(bench, word, wanted, unwanted):
    mount = bind(bench, "rbind", word)
    below = bench.dir / "source/below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noatime", "tmpfs", below], check=True)
    bench.patch = {"mounts+": [mount]}
    for where in ("/mnt", "/mnt/below"):
        flags, _, _ = flags_of(bench, where)
        bench.true(flags, f"nothing is mounted at {where}")
        bench.true(not wanted or wanted in flags, f"{wanted} is not among the flags of {where}: {flags}")
        bench.true(not unwanted or unwanted not in flags, f"{unwanted} is among the flags of {where}: {flags}")


PROPAGATION = {"shared": ["shared"], "rshared": ["shared"], "slave": [], "rslave": [], "private": [], "rprivate": [],
               "unbindable": ["unbindable"], "runbindable": ["unbindable"]}


def propagation(bench, word, wanted):
    bench.patch = {"mounts+": [tmpfs("/mnt", word)]}
    flags, optional, _ = flags_of(bench)
    bench.true(flags, "nothing is mounted")
    bench.equal([o for o in optional if o != "master"], wanted)


def rootfs_propagation(bench, word, wanted):
    bench.patch = {"linux.rootfsPropagation": word}
    bench.equal([o for o in flags_of(bench, "/")[1] if o in ("shared", "unbindable")], wanted)


rows("mounts", [(f"option-{word}", f"config.md: mount options, {word}", word, *want) for word, want in FLAGS.items()], option)
rows("mounts", [(f"option-{word}", f"config.md: mount options, {word} MUST reach the mounts below", word, *want) for word, want in RECURSIVE.items()], recursive)
rows("mounts", [(f"propagation-{word}", f"config.md: mount options, {word}", word, want) for word, want in PROPAGATION.items()], propagation)
rows("mounts", [(f"rootfs-{word}", "config-linux.md: rootfsPropagation", word, want) for word, want in
                (("private", []), ("slave", []), ("shared", ["shared"]), ("unbindable", ["unbindable"]))], rootfs_propagation)


@case("config.md: mounts are made in the listed order")
def order(bench):
    mounts = [tmpfs("/mnt"), tmpfs("/mnt/inner"), tmpfs("/mnt")]
    bench.equal(bench.sh("ls -A /mnt; grep -c ' /mnt' /proc/self/mountinfo", patch={"mounts+": mounts}), "3")


@case("config.md: a destination is made if it is missing")
def destination_made(bench):
    bench.equal(bench.sh("cat /made/here/file", patch={"mounts+": [bind(bench, "bind", inside="/made/here")]}), "from outside")


@case("config.md: a relative destination is taken from /")
def destination_relative(bench):
    bench.equal(bench.sh("cat /mnt/file", patch={"mounts+": [bind(bench, "bind", inside="mnt")]}), "from outside")


@case("config.md: a file can be bound to a file")
def bind_file(bench):
    mount = {**bind(bench, "bind", inside="/etc/one-file"), "source": str(bench.dir / "source/file")}
    bench.equal(bench.sh("cat /etc/one-file", patch={"mounts+": [mount]}), "from outside")


@case("config.md: a relative source is taken from the bundle")
def source_relative(bench):
    bench.equal(bench.sh("cat /mnt/file", patch={"mounts+": [{**bind(bench, "rbind"), "source": "source"}]}), "from outside")


@case("config.md: the option bind makes a bind mount, whatever the type says")
def bind_by_option(bench):
    for number, kind in enumerate(("none", "", "dummy")):
        bench.equal(bench.sh("cat /mnt/file", patch={"mounts+": [bind(bench, "rbind", kind=kind)]}), "from outside", kind)


@case("config.md: a bind mount takes flags")
def bind_read_only(bench):
    bench.patch = {"mounts+": [bind(bench, "bind", "ro", "nosuid", "nodev", "noexec")]}
    flags, _, _ = flags_of(bench)
    bench.true({"ro", "nosuid", "nodev", "noexec"} <= set(flags), f"the flags are {flags}")


@case("config.md: an option that is no mount option goes to the file system")
def data(bench):
    bench.equal(bench.sh("df -k /mnt | tail -1 | awk '{print $2}'; stat -c %a /mnt", patch={"mounts+": [tmpfs("/mnt", "size=64k", "mode=751")]}), "64\n751")


@case("config.md: what cannot be mounted is an error")
def impossible(bench):
    bench.refused("true", patch={"mounts+": [{"destination": "/mnt", "type": "no-such-file-system", "source": "x"}]})


@case("config.md: a source that does not exist is an error")
def source_missing(bench):
    bench.refused("true", says="no such file or directory", patch={"mounts+": [{"destination": "/mnt", "type": "bind", "source": "/not/there", "options": ["bind"]}]})


@case("config.md: a link in the root file system leads nowhere outside")
def destination_is_a_link(bench):
    bench.bundle()
    os.symlink("/../../../../etc", bench.rootfs / "out")
    bench.equal(bench.sh("cat /etc/file", patch={"mounts+": [bind(bench, "bind", inside="/out")]}), "from outside")


@case("config.md: tmpcopyup")
def tmpcopyup(bench):
    bench.equal(bench.sh("grep -c root /etc/passwd; touch /etc/x && echo writable", patch={"mounts+": [tmpfs("/etc", "tmpcopyup")]}), "1\nwritable")
    bench.true(not (bench.rootfs / "etc/x").exists(), "the copy is not the mount's own")


@case("config.md: mounts may be id-mapped", needs=MAPS_TMPFS)
def idmapped(bench):
    mapping = [{"containerID": 0, "hostID": 1000, "size": 10}]
    mount = {**bind(bench, "bind"), "uidMappings": mapping, "gidMappings": [{"containerID": 0, "hostID": 2000, "size": 10}]}
    bench.equal(bench.sh("stat -c %u:%g /mnt/file", patch={"mounts+": [mount]}), "1000:2000")


@case("config.md: idmap without mappings takes those of the user namespace", needs=MAPS_TMPFS)
def idmapped_like_users(bench):
    mount = bind(bench, "rbind", "idmap")
    bench.equal(bench.sh("stat -c %u:%g /mnt/file", patch={**USERS, "mounts+": [mount]}), "0:0")


@case("config.md: mounts may be id-mapped, by the host's ids, in a user namespace, with what is below", needs=MAPS_TMPFS)
def idmapped_in_user_namespace(bench):
    mount = {**bind(bench, "rbind", "ridmap"), **{which: [{"containerID": 0, "hostID": 100005, "size": 10}] for which in ("uidMappings", "gidMappings")}}
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", bench.dir / "source"], check=True)
    (bench.dir / "source/below").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", bench.dir / "source/below"], check=True)
    users = {**USERS, "linux.gidMappings": USERS["linux.uidMappings"]}
    bench.equal(bench.sh("stat -c %u:%g /mnt /mnt/below", patch={**users, "mounts+": [mount]}), "5:5\n5:5")


@case("config.md: uidMappings without gidMappings is an error")
def idmapped_half(bench):
    bench.refused("true", patch={"mounts+": [{**bind(bench, "bind"), "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}]}]})


@case("runc: proc is mounted on a directory only (CVE-2023-27561)")
def proc_on_a_link(bench):
    bench.bundle()
    (bench.rootfs / "proc").rmdir()
    os.symlink("/tmp", bench.rootfs / "proc")
    bench.refused("true")


@case("runc: nothing is mounted over /proc")
def over_proc(bench):
    bench.refused("true", patch={"mounts+": [tmpfs("/proc/sys")]})


@case("config-linux.md: the mounts of a container are not the host's")
def not_on_the_host(bench):
    bench.start(patch={"mounts+": [tmpfs("/mnt")]})
    with open("/proc/self/mountinfo") as mounts:
        bench.true(str(bench.rootfs) not in mounts.read(), "the host sees the container's mounts")
