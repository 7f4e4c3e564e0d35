"""A host's first process: gives the host files of its own, starts its SSH server, and waits.

Run by hosts.py in new namespaces, with what to do as JSON in the first argument. It imports nothing
from where files are about to be hidden.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

# Of <sys/mount.h>.
READ_ONLY, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 32, 4096, 16384, 1 << 18
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "none", flags: int = 0, data: str = "") -> None:
    """mount(2). The program of that name would resolve what it is given, and look in vain."""
    arguments = (source.encode(), target.encode(), kind.encode(), flags, data.encode())
    if _libc.mount(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)


def private_files(home: str, shared: list[str], read_only: dict[str, str]) -> None:
    """Folders of the host's own in the place of this machine's.

    Args:
        shared: directories that every host sees, wherever they are.
        read_only: directories that every host sees at another place: the place and what is there.
    """
    # Held open, because what lies on top of them will be hidden.
    held = {path: os.open(path, os.O_PATH) for path in [*shared, *read_only.values()]}
    mount("none", "/", flags=PRIVATE | RECURSIVE)
    for folder in ("/tmp", "/run", "/dev/shm"):
        mount("tmpfs", folder, "tmpfs", data="mode=1777")
    mount("tmpfs", home, "tmpfs", data="mode=700")
    for path in shared:
        Path(path).mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{held[path]}", path, flags=BIND)
    for place, path in read_only.items():
        Path(place).mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{held[path]}", place, flags=BIND)
        mount("none", place, flags=BIND | REMOUNT | READ_ONLY)
    for number in held.values():
        os.close(number)


def one_core(core: int) -> None:
    """The host has one core, and says so."""
    os.sched_setaffinity(0, {core})
    Path("/run/online").write_text("0\n")
    mount("/run/online", "/sys/devices/system/cpu/online", flags=BIND)
    # Ray believes these before that.
    mount("tmpfs", "/sys/fs/cgroup", "tmpfs")


def main() -> None:
    asked = json.loads(sys.argv[1])
    sys.stdin.readline()  # the network is there
    private_files(asked["home"], asked["shared"], asked["read_only"])
    if asked["core"] is not None:
        one_core(asked["core"])
    subprocess.run(["hostname", asked["name"]], check=True)
    home = Path(asked["home"])
    for name, (content, mode) in asked["files"].items():
        (home / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / name).touch(mode=mode)
        (home / name).write_text(content)
    if asked["sshd"]:
        Path("/run/sshd").mkdir(mode=0o755)
        options = {
            "HostKey": home / ".ssh/id_ed25519",
            "AuthorizedKeysFile": home / ".ssh/authorized_keys",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
        }
        given = [f"-o{key}={value}" for key, value in options.items()]
        subprocess.run([asked["sshd"], "-f", "/dev/null", *given], check=True)
    print("up", flush=True)
    # As any first process: take leave of the processes that nobody waits for.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, 1.0)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


if __name__ == "__main__":
    main()
