"""A display of its own for the real lockstep-studio, and a person's hands on it: Xvfb and xdotool."""
import os
import shutil
import signal
import subprocess
import tempfile
import time

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("LOCKSTEP_BUILD", os.path.join(SOURCE, "build"))


ON_A_DISK = ["unshare", "-rm", "sh", "-c"]


def small_disks():
    """Whether this user may mount file systems for a program's own."""
    return subprocess.run([*ON_A_DISK, "mount -t tmpfs tmpfs /mnt"], capture_output=True).returncode == 0


class Display:
    def __init__(self, size="1400x900"):
        for tool in ("Xvfb", "xdotool"):
            if shutil.which(tool) is None:
                raise RuntimeError(f"{tool} is missing; install Debian's xvfb and xdotool ('./dev doctor')")
        read, write = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", size + "x24", "-nolisten", "tcp"],
            pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as pipe:
            self.name = ":" + pipe.readline().strip()  # it is up when it tells its number

    def close(self):
        self.server.terminate()
        self.server.wait(timeout=20)


class Studio:
    """The program in its own home; files it records by itself are in `folder`. `disk`: that folder is a file system
    of so many bytes, which nobody else sees (needs small_disks())."""

    def __init__(self, display, *arguments, size="1400x900", disk=0):
        self.home = tempfile.mkdtemp(prefix="lockstep-studio-")
        self.folder = os.path.join(self.home, "Documents", "Lockstep")
        self.log = open(os.path.join(self.home, "log"), "w+", encoding="utf-8")
        env = dict(os.environ, HOME=self.home, DISPLAY=display.name, QT_QPA_PLATFORM="xcb", XDG_RUNTIME_DIR=self.home,
                   XDG_CONFIG_HOME=os.path.join(self.home, "config"))
        env.setdefault("LOCKSTEP_FIRMWARE_DIR", os.path.join(SOURCE, "build", "firmware"))
        env.setdefault("LOCKSTEP_RESOURCES", os.path.join(SOURCE, "resources"))
        os.makedirs(self.folder if disk else os.path.join(self.home, "Documents"))
        self.env = env
        program = os.path.join(BUILD, "bin", "lockstep-studio")
        words = [program, *arguments, "--size", size]
        if disk:
            words = [*ON_A_DISK, f'mount -t tmpfs -o size={disk} tmpfs "$0" && exec "$@"', self.folder, *words]
        self.process = subprocess.Popen(words, env=env, stderr=self.log)
        if disk:
            self.folder = f"/proc/{self.process.pid}/root{self.folder}"  # where it is seen from here
        self.window = None

    def do(self, *words):
        return subprocess.run(["xdotool", *map(str, words)], env=self.env, capture_output=True, text=True,
                              timeout=20).stdout.strip()

    def wait(self, condition, what, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"lockstep-studio ended with {self.process.returncode}: {self.words()}")
            found = condition()
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError(f"no {what} after {seconds} s: {self.words()}")

    def words(self):
        with open(self.log.name, encoding="utf-8") as f:
            return f.read()

    def shown(self):
        def find():
            return self.do("search", "--onlyvisible", "--pid", self.process.pid, "--name", "^Lockstep Studio$")
        self.window = self.wait(find, "window").splitlines()[0]
        self.do("windowfocus", self.window)

    def key(self, *keys):
        self.do("windowfocus", self.window, "key", "--delay", "40", *keys)

    def files(self, end):
        if not os.path.isdir(self.folder):
            return []
        return [os.path.join(self.folder, n) for n in sorted(os.listdir(self.folder)) if n.endswith(end)]

    def end(self, number=signal.SIGTERM):
        """Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=30)
        finally:
            self.log.close()

    def remove(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if not self.log.closed:
            self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)
