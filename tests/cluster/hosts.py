"""Hosts of the tests' own: Linux namespaces on this machine, joined by a switch.

Each host has an address, processes, a name, a home and /tmp of its own, and an SSH server and a
single core where they are asked for. It sees the checkout, the virtual environment and one shared
directory of this machine. Nothing is set up in this machine's own network, and everything ends with
the process that made it, even after a SIGKILL: the namespaces have no names, and live as long as
what runs in them.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
SUBNET = "10.77.0"
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def missing() -> str | None:
    """Why there can be no hosts here; None where there can."""
    if sys.platform != "linux":
        return "hosts are Linux namespaces"
    if os.geteuid() != 0:
        return "hosts take root: they are namespaces with a network of their own"
    paths = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    for program, package in {
        "ip": "iproute2",
        "sshd": "openssh-server",
        "ssh": "openssh-client",
        "rsync": "rsync",
        "unshare": "util-linux",
    }.items():
        if shutil.which(program, path=paths) is None:
            return f"hosts need {program} (Debian: {package})"
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "--mount", "--mount-proc"]
        + ["sh", "-c", "mount -t tmpfs tmpfs /tmp && ip link add type veth"],
        capture_output=True,
        text=True,
        check=False,
    )
    return tried.stderr.strip() or "no namespaces here" if tried.returncode else None


def _with_parent() -> None:
    """In a child: end when the parent does."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Host:
    """A machine, as far as Ray can tell."""

    name: str
    address: str
    _wire: str = ""
    _outer: subprocess.Popen[str] | None = None
    _init: int = 0
    _asked: dict[str, object] = field(default_factory=dict)

    def _inside(self, arguments: list[str]) -> list[str]:
        return ["nsenter", f"--target={self._init}", "--all", f"--wd={self._asked['home']}"] + [
            "env",
            "-i",
            f"HOME={self._asked['home']}",
            f"USER={self._asked['user']}",
            f"PATH={sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG=C.UTF-8",
            *arguments,
        ]

    def popen(self, *arguments: str, **options: object) -> "subprocess.Popen[str]":
        """A process on this host, as somebody who sits at it would start it."""
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            self._inside(list(arguments)), text=True, preexec_fn=_with_parent, **options
        )

    def run(self, *arguments: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self._inside(list(arguments)),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )

    def processes(self) -> dict[int, str]:
        """What runs on it but its first process and its SSH server: number and title."""
        if not self.on:
            return {}
        own = os.readlink(f"/proc/{self._init}/ns/pid")
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) == self._init:
                continue
            try:
                if os.readlink(entry / "ns/pid") == own:
                    title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                    if title and not title.startswith("sshd"):
                        found[int(entry.name)] = title
            except OSError:
                continue  # it has just ended
        return found

    def trials(self) -> list[int]:
        """The processes that run trials on it."""
        return [
            number
            for number, title in self.processes().items()
            if title.startswith("ray::") and "Trainable" in title
        ]

    def hold_trials(self, held: bool) -> None:
        """Stop the processes that run trials, or let them go on. Ray's servers don't notice."""
        for number in self.trials():
            os.kill(number, signal.SIGSTOP if held else signal.SIGCONT)

    @property
    def user(self) -> str:
        return str(self._asked["user"])

    @property
    def on(self) -> bool:
        return self._outer is not None and self._outer.poll() is None

    def kill(self) -> None:
        """SIGKILL to every process on it: the kernel ends them with the first one."""
        if self.on:
            assert self._outer is not None
            os.kill(self._init, signal.SIGKILL)
            self._outer.wait(30)


class Network:
    """A switch and the hosts on it. Use it in a with statement."""

    def __init__(self, shared: Path) -> None:
        """shared: the directory that all hosts see, at the same path."""
        self._shared = shared
        self._stack = ExitStack()
        self.hosts: dict[str, Host] = {}

    def __enter__(self) -> "Network":
        try:
            self._switch = subprocess.Popen(
                ["unshare", "--net", "--mount", "sleep", "infinity"], preexec_fn=_with_parent
            )
            self._stack.callback(_end, self._switch)
            here = os.readlink("/proc/self/ns/net")
            wait_for(
                lambda: os.readlink(f"/proc/{self._switch.pid}/ns/net") != here, 10, "the switch"
            )
            self._ip("link", "add", "switch", "type", "bridge")
            self._ip("address", "add", f"{SUBNET}.254/24", "dev", "switch")
            self._ip("link", "set", "switch", "up")
            keys = self._shared / "keys"
            keys.mkdir(mode=0o700)
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / "id_ed25519")],
                check=True,
            )
            self._private = (keys / "id_ed25519").read_text()
            self._public = (keys / "id_ed25519.pub").read_text()
            shutil.rmtree(keys)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _ip(self, *arguments: str) -> None:
        subprocess.run(
            ["nsenter", f"--target={self._switch.pid}", "--net", "ip", *arguments], check=True
        )

    def add(self, name: str, core: int | None = None, sshd: bool = True) -> Host:
        """A host that is on. Of those with an SSH server each trusts all the others.

        core: the only one it has; else it has all of this machine's.
        """
        number = len(self.hosts) + 1
        home = os.path.expanduser("~")
        host = self.hosts[name] = Host(name, f"{SUBNET}.{number}", f"to-{name}")
        # The interpreter that the virtual environment is made of may lie in a home.
        shared = [str(self._shared), str(ROOT), sys.base_prefix, sys.prefix]
        program = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/local/sbin")
        host._asked = {
            "name": name,
            "user": os.environ.get("USER", "root"),
            "home": home,
            "core": core,
            "sshd": program if sshd else None,
            "shared": [path for path in shared if path not in ("/", "/usr", "/usr/local")],
            # Where a cluster file's own commands make one; here it is made already.
            "read_only": {f"{home}/lstm-tuning/venv": sys.prefix},
            "files": {
                ".bashrc": ("", 0o644),
                ".ssh/id_ed25519": (self._private, 0o600),
                ".ssh/authorized_keys": (self._public, 0o600),
            },
        }
        self.start(host)
        return host

    def start(self, host: Host) -> None:
        """Switch it on: with nothing but its name, address and keys."""
        assert not host.on
        outer = subprocess.Popen(
            ["unshare", "--net", "--pid", "--mount", "--uts", "--ipc", "--fork"]
            + ["--mount-proc", "--kill-child", sys.executable]
            + [str(Path(__file__).with_name("boot.py")), json.dumps(host._asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=_with_parent,
        )
        self._stack.callback(_end, outer)
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        wait_for(lambda: bool(children.read_text().split()), 10, f"{host.name}'s first process")
        host._outer, host._init = outer, int(children.read_text().split()[0])
        self._stack.callback(_gone, outer, host._init)
        number = int(host.address.rpartition(".")[2])
        # One end of the cable in the host and the other in the switch; both go with the host.
        self._ip(
            *("link", "add", host._wire, "type", "veth"),
            *("peer", "name", "eth0", "address", f"02:00:00:00:00:{number:02x}"),
            *("netns", str(host._init)),
        )
        self._ip("link", "set", host._wire, "master", "switch", "up")
        for line in (
            "link set lo up",
            f"address add {host.address}/24 dev eth0",
            "link set eth0 up",
            f"route add default via {SUBNET}.254",
        ):
            command = ["nsenter", f"--target={host._init}", "--net", "ip", *line.split()]
            subprocess.run(command, check=True)
        assert outer.stdin is not None and outer.stdout is not None
        outer.stdin.write("\n")
        outer.stdin.flush()
        if outer.stdout.readline() != "up\n":
            raise RuntimeError(f"host {host.name} did not start")

    def cut(self, host: Host) -> None:
        """Pull its cable: nothing that runs on it ends, and nobody hears of it any more."""
        self._ip("link", "set", host._wire, "down")

    def heal(self, host: Host) -> None:
        self._ip("link", "set", host._wire, "up")


def _end(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """With --kill-child its own children end too."""
    process.kill()
    process.wait(30)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _gone(outer: "subprocess.Popen[str]", init: int) -> None:
    """End a host's first process, and wait until all that ran on it has ended."""
    if outer.poll() is None:
        os.kill(init, signal.SIGKILL)
        outer.wait(30)


def wait_for(true: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until it is so.

    Returns:
        How many seconds that took.

    Raises:
        TimeoutError: it isn't so in time.
    """
    begun = time.monotonic()
    while not true():
        if time.monotonic() - begun > seconds:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)
    return time.monotonic() - begun
