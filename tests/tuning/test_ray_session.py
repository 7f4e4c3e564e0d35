"""A Ray of the command's own: what it leaves behind, and who may talk to it."""

import fcntl
import os
from pathlib import Path

import pytest

from tuning import ray_session as module
from tuning.ray_session import _temporary_folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "TEMPORARY", tmp_path)
    return tmp_path


def test_what_a_killed_command_left_behind_is_removed(temporary: Path) -> None:
    left = temporary / "lstm-ray-left"
    (left / "session_1").mkdir(parents=True)
    (left / "lock").touch()
    # Written by the last of Ray's processes after another command had removed it, lock and all.
    again = temporary / "lstm-ray-again"
    again.mkdir()
    os.utime(again, (0, 0))
    other = temporary / "somebody-elses"
    other.mkdir()
    with _temporary_folder() as folder:
        assert sorted(temporary.iterdir()) == sorted([Path(folder), other])
    assert list(temporary.iterdir()) == [other]


def test_the_folder_of_a_command_that_runs_is_left_alone(temporary: Path) -> None:
    running = temporary / "lstm-ray-running"
    running.mkdir()
    with (running / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with _temporary_folder():
            assert running.exists()
    starting = temporary / "lstm-ray-starting"  # has its folder, and no lock in it yet
    starting.mkdir()
    with _temporary_folder(), _temporary_folder() as second:
        assert Path(second).exists()
        assert starting.exists()
    assert not running.exists(), "its command has ended"
    assert starting.exists()
