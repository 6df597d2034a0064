"""Terminals and signals of a container in the foreground, as a person at a terminal has them."""
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

from keg import PATIENCE, RUNTIME, RuntimeCase, needs_root, wait_until

LOOP = "while :; do sleep 0.05; done"


def read_until(fd, text):
    """What comes from a terminal or a pipe until that text is in it, or until it ends."""
    data = b""
    while text.encode() not in data and select.select([fd], [], [], PATIENCE)[0]:
        try:
            piece = os.read(fd, 4096)
        except OSError:   # a terminal whose last user is gone
            break
        if not piece:
            break
        data += piece
    return data.decode()


class AtTerminal:
    """keg-runtime started by a shell at a terminal of that size; some of its streams may be other files."""

    def __init__(self, case, *words, rows=31, columns=97, **streams):
        self.master, self.slave = pty.openpty()
        case.addCleanup(os.close, self.master)
        case.addCleanup(os.close, self.slave)
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)

        def own_it():
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
        all_three = {name: self.slave for name in ("stdin", "stdout", "stderr")}
        self.process = subprocess.Popen([RUNTIME, "--root", case.state, *words], preexec_fn=own_it, **{**all_three, **streams})
        case.addCleanup(self.process.wait)
        case.addCleanup(self.process.kill)

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, text):
        return read_until(self.master, text)

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        return self.process.wait(timeout=PATIENCE)

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before


class TerminalCase(RuntimeCase):
    def terminal_bundle(self, script, name="bundle"):
        return self.bundle("sh", "-c", script, edit=lambda config: config["process"].update(terminal=True), name=name)

    def run_at_terminal(self, script, **streams):
        return AtTerminal(self, "run", "-b", self.terminal_bundle(script), "c", **streams)

    def in_background(self, *args, **options):
        self.detached("run", "-d", "-b", self.bundle(*args, name="background"), "c", **options)


@needs_root
class Terminal(TerminalCase):
    def test_the_first_program_knows_the_size(self):
        at = self.run_at_terminal("stty size; exit 7")
        self.assertEqual(at.until("97"), "31 97\r\n")
        self.assertEqual(at.end(), 7)
        self.in_background("sleep", "100")
        at = AtTerminal(self, "exec", "-t", "c", "sh", "-c", "stty size; exit 6")
        self.assertEqual(at.until("97"), "31 97\r\n")
        self.assertEqual(at.end(), 6)

    def test_the_size_is_that_of_any_stream_that_is_a_terminal(self):
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        at = self.run_at_terminal("stty size", stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.DEVNULL)
        os.close(write)
        self.assertEqual(read_until(read, "97"), "31 97\n")   # and its lines end as the program's
        at.end()

    def test_a_new_size_reaches_the_program(self):
        at = self.run_at_terminal(f"trap 'stty size; exit 0' WINCH; echo ready; {LOOP}")
        at.until("ready")
        at.resize(11, 22)
        self.assertIn("11 22", at.until("22"))

    def test_the_terminal_is_raw_for_as_long_as_the_container_runs(self):
        for end in (lambda at: self.runtime("kill", "c", "KILL"), lambda at: at.type(b"x\r"), lambda at: at.process.terminate()):
            at = AtTerminal(self, "run", "-b", self.terminal_bundle("trap 'exit 3' TERM; echo ready; read x", name=f"b{id(end)}"), "c")
            at.until("ready")
            self.assertFalse(at.is_as_before())
            end(at)
            at.end()
            self.assertTrue(at.is_as_before())

    def test_keys_are_the_programs(self):
        script = "trap 'echo is INT' INT; trap 'echo is TSTP' TSTP; trap 'echo is QUIT' QUIT; echo ready; while :; do read line && echo read $line; done"
        at = self.run_at_terminal(script)
        at.until("ready")
        for key, name in ((b"\x03", "INT"), (b"\x1a", "TSTP"), (b"\x1c", "QUIT")):
            at.type(key)
            self.assertIn("is " + name, at.until("is " + name))
        at.type(b"word\r")
        self.assertIn("read word", at.until("read word"))

    def test_a_program_may_close_its_terminal_and_open_it_again(self):
        at = self.run_at_terminal("exec <&- >&- 2>&-; usleep 300000; exec </dev/console >/dev/console 2>&1; echo again; read x; echo got $x")
        self.assertIn("again", at.until("again"))
        at.type(b"keys\r")
        self.assertIn("got keys", at.until("got keys"))
        self.assertEqual(at.end(), 0)

    def test_a_slow_reader_keeps_no_signal(self):
        read, write = os.pipe()
        at = self.run_at_terminal(f"trap 'exit 4' TERM; yes & {LOOP}", stdout=write)
        wait_until(lambda: not select.select([], [write], [], 0)[1], "a full pipe")
        os.close(write)
        at.process.terminate()
        wait_until(lambda: self.status() != "running", "the end of the program")
        while os.read(read, 65536):
            pass
        self.assertEqual(at.end(), 4)

    def test_a_program_that_reads_nothing_holds_up_neither_signals_nor_its_output(self):
        script = f"stty raw -echo; trap 'echo has heard; exit 4' TERM; echo ready; {LOOP}"
        typist = subprocess.Popen(["sh", "-c", "exec 2>&-; yes 'a line that nobody reads' | head -c 1000000; sleep 100"], stdout=subprocess.PIPE)
        self.addCleanup(lambda: (typist.kill(), typist.wait(), typist.stdout.close()))
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        at = self.run_at_terminal(script, stdin=typist.stdout, stdout=write)
        os.close(write)
        read_until(read, "ready")
        # Once the terminal takes no more, the pipe stays full.
        full = 0
        while full < 10:
            time.sleep(0.05)
            waiting = struct.unpack("i", fcntl.ioctl(typist.stdout, termios.FIONREAD, b"1234"))[0]
            full = full + 1 if waiting > 0 else 0
        at.process.terminate()
        self.assertIn("has heard", read_until(read, "has heard"))
        self.assertEqual(at.end(), 4)

    def test_the_callers_files_block_as_they_did(self):
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        at = self.run_at_terminal("echo ready; read x", stdout=write)
        read_until(read, "ready")
        flags = [fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK for fd in (at.slave, write)]
        os.close(write)
        at.type(b"x\r")
        at.end()
        self.assertEqual(flags, [0, 0])

    def test_who_does_not_want_the_last_output_may_end_the_waiting_for_it(self):
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        at = self.run_at_terminal("yes", stdout=write)
        wait_until(lambda: not select.select([], [write], [], 0)[1], "a full pipe")
        os.close(write)
        self.runtime("kill", "c", "KILL")
        wait_until(lambda: self.status() != "running", "the end of the program")
        time.sleep(0.3)
        self.assertIsNone(at.process.poll(), "what was written is not thrown away")
        at.process.terminate()
        self.assertEqual(at.end(), 137)

    def test_the_terminal_hangs_up_when_nobody_reads_it(self):
        read, write = os.pipe()
        at = self.run_at_terminal("trap 'exit 9' HUP; while :; do echo line; usleep 20000; done", stdout=write)
        os.close(write)
        read_until(read, "line")
        os.close(read)
        self.assertEqual(at.end(), 9)
        self.assertTrue(at.is_as_before())


@needs_root
class Signals(TerminalCase):
    def test_signals_are_the_containers(self):
        """Those that a person or a service manager sends, but not what tells of the runtime's own terminal."""
        heard = {name: True for name in ("HUP", "INT", "QUIT", "ABRT", "USR1", "PIPE", "ALRM", "TERM", "CONT", "TSTP", "IO")} | {"WINCH": False}
        script = "".join(f"trap 'echo {name}' {name}; " for name in heard) + f"trap 'echo 50' 50; trap 'exit 5' USR2; echo ready; {LOOP}"
        self.in_background("sleep", "1000")
        for words in (("run", "-b", self.bundle("sh", "-c", script), "d"), ("exec", "c", "sh", "-c", script)):
            with self.subTest(words=words[0]), subprocess.Popen([RUNTIME, "--root", self.state, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
                out = process.stdout.fileno()
                read_until(out, "ready")
                for name, is_heard in heard.items():
                    process.send_signal(getattr(signal, "SIG" + name))
                    if is_heard:
                        self.assertEqual(read_until(out, "\n"), name + "\n")
                process.send_signal(50)
                self.assertEqual(read_until(out, "\n"), "50\n")
                process.send_signal(signal.SIGUSR2)
                self.assertEqual(process.stdout.read(), b"")
                self.assertEqual(process.wait(timeout=PATIENCE), 5)


if __name__ == "__main__":
    unittest.main()
