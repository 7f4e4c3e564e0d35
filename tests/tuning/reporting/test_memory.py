"""Memory of processes that are started for it."""

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from tuning.reporting.memory import MemoryUse, measure_memory


class Process:
    """A process with these bytes, and those that it started."""

    def __init__(self, *started: "Process", **sizes: int) -> None:
        self._started, self._sizes = started, sizes

    def children(self, recursive: bool) -> list["Process"]:
        below = [each for child in self._started for each in child.children(recursive)]
        return [*self._started, *below]

    def memory_info(self) -> SimpleNamespace:
        if not self._sizes:
            raise psutil.NoSuchProcess(1)
        return SimpleNamespace(**self._sizes)


@pytest.fixture(autouse=True)
def _a_machine_of_4_mb(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = SimpleNamespace(available=1_500_000, total=4_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)


def test_libraries_of_a_family_count_once() -> None:
    grandchild = Process(rss=90, shared=40)
    ended = Process()  # while it is looked at
    family = Process(Process(grandchild, rss=300, shared=250), ended, rss=500, shared=200)
    use = measure_memory(family)
    assert use == MemoryUse(300 + 50 + 50 + 250, 1_500_000, 4_000_000)


def test_where_no_share_is_told_each_counts_whole() -> None:
    use = measure_memory(Process(Process(rss=300), rss=500))
    assert use.used == 800


def test_memory_of_a_worker_is_found() -> None:
    command = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    worker = "held = bytearray(b'x') * 200_000_000; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", command, worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        use = measure_memory(psutil.Process(process.pid))
        process.communicate(b"\n")
    assert 200e6 < use.used < 260e6
