"""Faults at random moments: a short campaign; `make faults` runs a long one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.campaign import SPACE as UNDER_FIRE
from tests.faults.campaign import campaign, write_table
from tuning.ray_backend.patches import PLAIN
from tuning.study.records import read_trials


def test_nothing_is_lost_or_counted_twice(tmp_path: Path) -> None:
    kinds = ["fork server", "machine"]
    tally = campaign(tmp_path, kinds, seed=1, trials=6, max_epochs=40)
    assert tally.problems == []
    assert tally.faults == {"fork server": 1, "machine": 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    "plain", ["", pytest.param("1", marks=pytest.mark.nightly)], ids=["changed", "plain"]
)
def test_a_study_that_was_killed_ends_as_one_that_was_not(plain: str, tmp_path: Path) -> None:
    """One worker, killed between a checkpoint and its record, and between two checkpoints."""
    write_table(tmp_path / "air.csv")
    (tmp_path / "air.yaml").write_text(
        UNDER_FIRE.format(source="air.csv", trials=4, max_epochs=20, scheduler="asha")
    )

    def run(name: str, *arguments: str, kill_at: str = "never:0") -> int:
        given = ["--runs", "runs", "--concurrency", "1", "--quiet", *arguments]
        environment = {
            "WITNESS": str(tmp_path / f"{name}.witness"),
            "KILL_AT": kill_at,
            "CHECKPOINT_SECONDS": "0.1",
            PLAIN: plain,
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        return subprocess.run(
            [sys.executable, "-m", "tests.faults.witnessed", *given],
            cwd=tmp_path,
            env={**os.environ, **environment},
            timeout=300,
            check=False,
        ).returncode

    assert run("whole", "--space", "air.yaml", "--name", "whole") == 0
    first = ("--space", "air.yaml", "--name", "parts")
    assert run("parts", *first, kill_at="checkpointed:4") == -9
    assert run("parts", "--resume", "parts", kill_at="reported:17") == -9
    assert run("parts", "--resume", "parts") == 0

    whole, parts = (tmp_path / "runs" / name for name in ("whole", "parts"))
    for one, other in zip(read_trials(whole).values(), read_trials(parts).values(), strict=True):
        assert (one.config, one.state, one.best) == (other.config, other.state, other.best)
        assert one.history == other.history
    weights = [(folder / "best" / "model.safetensors").read_bytes() for folder in (whole, parts)]
    assert weights[0] == weights[1]
