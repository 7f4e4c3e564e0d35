"""A Ray of the command's own: what it leaves behind, and who may talk to it."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from tuning.ray_backend import session as module
from tuning.ray_backend.session import shutdown_at_end, temporary_folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "TEMPORARY", tmp_path)
    return tmp_path


def test_folder_of_a_killed_command_is_removed(temporary: Path) -> None:
    left = temporary / "lstm-ray-left"
    (left / "session_1").mkdir(parents=True)
    (left / "lock").touch()
    # Written by the last of Ray's processes after another command had removed it, lock and all.
    again = temporary / "lstm-ray-again"
    again.mkdir()
    os.utime(again, (0, 0))
    other = temporary / "somebody-elses"
    other.mkdir()
    with temporary_folder() as folder:
        assert sorted(temporary.iterdir()) == sorted([Path(folder), other])
    assert list(temporary.iterdir()) == [other]


def test_folder_of_a_running_command_is_left_alone(temporary: Path) -> None:
    running = temporary / "lstm-ray-running"
    running.mkdir()
    with (running / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with temporary_folder():
            assert running.exists()
    starting = temporary / "lstm-ray-starting"  # has its folder, and no lock in it yet
    starting.mkdir()
    with temporary_folder(), temporary_folder() as second:
        assert Path(second).exists()
        assert starting.exists()
    assert not running.exists(), "its command has ended"
    assert starting.exists()


CALLER = """\
from tuning.ray_backend import environment
environment.set_environment()
import ray, sys, typer
from pathlib import Path
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
@ray.remote(num_cpus=0)
class Counter:
    def __init__(self):
        self.count = 0
    def add(self):
        self.count += 1
        return self.count
counter = Counter.remote()
assert ray.get(counter.add.remote()) == 1
before = sorted(Path().rglob("*"))
from tuning.compare import compare
from tuning.run import run
for call in (
    lambda: run(space="tiny.yaml", quiet=True),
    lambda: compare(space=["tiny.yaml"], name="air", quiet=True),
    lambda: run(space="tiny.yaml", quiet=True, address="127.0.0.1:1"),
):
    try:
        call()
    except typer.Exit as ended:
        print(ended.exit_code)
assert sorted(Path().rglob("*")) == before
assert ray.is_initialized()
print(ray.get(counter.add.remote()))
"""


def test_a_ray_of_the_callers_own_is_left_alone(space: Callable[..., Path]) -> None:
    home = space().parent
    done = subprocess.run(
        [sys.executable, "-c", CALLER],
        capture_output=True,
        text=True,
        cwd=home,
        timeout=180,
        check=False,
    )
    assert done.stdout.split() == ["2", "2", "2", "2"], done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("a study starts a Ray")]
    assert len(told) == 3
    assert all("connected to a Ray already (at 1" in line for line in told)
    assert all(line.endswith("or run the study in a process of its own") for line in told)
    assert "Traceback" not in done.stderr


def test_ray_ends_while_the_caller_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    went_on, calls = threading.Event(), []

    def shutdown() -> None:
        # The early call comes to its end only once the caller has gone on.
        calls.append(went_on.wait(60))

    monkeypatch.setattr(ray, "shutdown", shutdown)
    with shutdown_at_end() as begin_to_end:
        begin_to_end()
        went_on.set()
    assert calls == [True, True], "the early one has been waited for, and what it left is ended"


def test_ray_ends_where_nobody_began_to_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append(threading.get_ident()))
    with pytest.raises(KeyError), shutdown_at_end():
        raise KeyError
    assert calls == [threading.get_ident()]
