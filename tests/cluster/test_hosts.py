"""The hosts themselves: apart from each other and from this machine, and gone afterwards."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.hosts import ROOT, Network, missing, wait_for

pytestmark = pytest.mark.cluster
if why := missing():
    pytest.skip(why, allow_module_level=True)

SSH = ("ssh", "-oStrictHostKeyChecking=no", "-oConnectTimeout=2", "-oLogLevel=ERROR")
MADE = """
import sys, pathlib
from tests.cluster.hosts import Network
with Network(pathlib.Path(sys.argv[1])) as network:
    network.add("orphan")
    print("made", flush=True)
    sys.stdin.read()
"""


def links() -> str:
    return subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True).stdout


def test_hosts_are_apart_and_are_cut_off_killed_and_switched_on(tmp_path: Path) -> None:
    before = links()
    with Network(tmp_path) as network:
        here, there = network.add("here", sshd=False), network.add("there", core=0)
        asked = "hostname; nproc; echo mine > /tmp/a; echo ours > " + str(tmp_path / "b")
        assert here.run(*SSH, there.address, asked).stdout == "there\n1\n"
        assert (tmp_path / "b").read_text() == "ours\n"
        assert here.run("ls", "/tmp/a").returncode != 0
        assert here.run("touch", "lstm-tuning/venv/x").returncode != 0
        assert links() == before, "nothing in this machine's own network"

        network.cut(there)
        assert here.run(*SSH, there.address, "true").returncode == 255
        assert there.on
        network.heal(there)
        assert here.run(*SSH, there.address, "cat /tmp/a").stdout == "mine\n"

        sleeper = there.popen("sleep", "1000")
        wait_for(lambda: "sleep 1000" in there.processes().values(), 5, "the process")
        there.kill()
        assert sleeper.wait(10) != 0
        assert here.run(*SSH, there.address, "true").returncode == 255
        network.start(there)
        again = here.run(*SSH, there.address, "hostname; cat /tmp/a")
        assert again.stdout.startswith("there\ncat: /tmp/a: No such file")
        first = there._init
    assert not Path(f"/proc/{first}").exists()


def test_they_end_with_who_made_them_even_after_a_sigkill(tmp_path: Path) -> None:
    maker = subprocess.Popen(
        [sys.executable, "-c", MADE, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert maker.stdout is not None and maker.stdin is not None
    assert maker.stdout.readline() == "made\n"

    def left() -> list[str]:
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(tmp_path).encode() in (line := entry.read_bytes()):
                    found.append(line.decode())
            except OSError:
                continue
        return found

    assert left()
    os.kill(maker.pid, signal.SIGKILL)
    maker.wait()
    wait_for(lambda: not left(), 10, "no process any more")
    maker.stdin.close()
    maker.stdout.close()
