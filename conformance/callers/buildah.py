"""buildah, which runs each RUN of a build as a container of its own: create, start, state until stopped, delete."""
import image
from check import check, write

KEEPS = ""
RUNTIME = "--runtime /usr/local/bin/keg-runtime"


def main():
    archive = image.archive("/tmp/busybox.tar")
    check("from an archive", f"buildah pull -q oci-archive:{archive} && buildah images", "busybox|none")
    check("from", f"buildah tag $(buildah images -q) busybox && buildah from --name work busybox", "work")
    check("run: output and exit status", f"buildah run {RUNTIME} work -- sh -c 'echo out; exit 3'", "out", exit=3)
    check("run: a terminal", f"buildah run {RUNTIME} --terminal work -- tty", "/dev/pts/0", tty=True)
    check("run: standard input", f"echo word | buildah run {RUNTIME} work -- cat", "word")
    check("run: user, volume, directory", f"buildah run {RUNTIME} --user 33:44 --workingdir /tmp -v /etc:/host:ro work -- sh -c 'exec 2>&1; id; pwd; touch /host/x'",
          "uid=33.*/tmp.*Read-only", exit=1)
    check("run: no such command", f"buildah run {RUNTIME} work -- nonexistent", r"executable file not found in \$PATH", exit=1)
    write("/tmp/context/file", "content\n")
    write("/tmp/context/Dockerfile", "FROM busybox AS first\nWORKDIR /app\nCOPY file .\nRUN cat file > out\nUSER www\nRUN id -un >> /tmp/who\n"
          "FROM busybox\nCOPY --from=first /app/out /tmp/who /\nRUN --mount=type=tmpfs,target=/scratch touch /scratch/x && cat /out /who > /both\nCMD [\"cat\", \"/both\"]\n")
    check("bud with RUN", f"buildah bud {RUNTIME} -t built /tmp/context", "COMMIT built|STEP")
    check("what was built", f"buildah from --name result built && buildah run {RUNTIME} result -- cat /both", "content\nwww\n")
    write("/tmp/failing/Dockerfile", "FROM busybox\nRUN exit 9\n")
    check("a failing RUN", f"buildah bud {RUNTIME} /tmp/failing", "exit status 9", exit=9)
    check("rm", "buildah rm -a && buildah rmi -a -f")
    check("the runtime forgot everything", "find /run/runc /run/keg -mindepth 1 2>/dev/null; true", "^$")
