"""A trial's steps, by themselves: when they end, on a clock of the test's own."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray.tune.result import SHOULD_CHECKPOINT

from lstm_model.configuration import AS_IT_STANDS
from lstm_model.errors import InputError
from lstm_model.training.state import write_state
from tuning.ray_backend import trainable
from tuning.ray_backend.trainable import Trainable

EPOCHS = 30


class Clock:
    """Stands still but for what is trained."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Training:
    """As much of a Fit as a step looks at; an epoch takes so many seconds."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self.epoch = 0
        self.best = SimpleNamespace(score=SimpleNamespace(rmse=20.0))

    def run_epoch(self) -> SimpleNamespace:
        self.epoch += 1
        self._clock.now += self._seconds
        return SimpleNamespace(number=self.epoch)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """The epochs that a trial's steps end with."""

    def taken(
        seconds: float, decision_epochs: tuple[int, ...] = (), checkpoint: float = 1e9
    ) -> list[int]:
        clock = Clock()
        monkeypatch.setattr(trainable, "time", clock)
        monkeypatch.setattr(trainable, "epoch_report", lambda epoch: {"epoch": epoch.number})
        given: dict[str, Any] = {"series": None, "folder": Path(), "target": "pm2.5", "seed": 0}
        given["reading"] = AS_IT_STANDS
        trial = Trainable.__new__(Trainable)
        trial.setup(
            {},
            **given,
            max_epochs=EPOCHS,
            threads=1,
            gpu=False,
            decision_epochs=decision_epochs,
            report_seconds=2.0,
            checkpoint_seconds=checkpoint,
        )
        trial._made = Training(clock, seconds)  # type: ignore[assignment]
        ends: list[int] = []
        reported: list[int] = []
        while not ends or ends[-1] < EPOCHS:
            result = trial.step()
            reported += [each["epoch"] for each in result["reports"]]
            ends.append(result["epoch"])
            if result.get(SHOULD_CHECKPOINT):
                trial._saved = clock.now
        assert reported == list(range(1, EPOCHS + 1))
        return ends

    return taken


def test_a_step_ends_every_two_seconds(steps: Callable[..., list[int]]) -> None:
    assert steps(0.5) == [4, 8, 12, 16, 20, 24, 30], "from 28 on it is a second to the end"
    assert steps(3.0) == list(range(1, EPOCHS + 1)), "an epoch that takes longer is one by itself"


def test_no_report_just_before_one_that_has_to_be(steps: Callable[..., list[int]]) -> None:
    assert steps(0.125, decision_epochs=(15,)) == [15, 30]
    assert steps(0.25, decision_epochs=(15,)) == [15, 30], "2 seconds at 8, and 1.75 to go"
    assert steps(0.3125, decision_epochs=(15,)) == [7, 15, 22, 30], (
        "2.2 seconds at 7, and 2.5 to go"
    )


def test_what_is_judged_by_itself_is_reported_by_itself(steps: Callable[..., list[int]]) -> None:
    assert steps(0.1, decision_epochs=tuple(range(1, EPOCHS + 1))) == list(range(1, EPOCHS + 1))


def test_a_checkpoint_is_not_put_off(steps: Callable[..., list[int]]) -> None:
    assert steps(0.25, decision_epochs=(15,), checkpoint=1.0) == [4, 8, 12, 15, 16, 20, 24, 28, 30]


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False),
    ],
)
def test_a_worker_that_may_be_spoilt_is_not_used_again(error: RuntimeError, own: bool) -> None:
    """What Trainable.step() raises ends its process; what it reports ends the trial alone."""

    def run_epoch() -> None:
        raise error

    trial = Trainable.__new__(Trainable)
    trial._max_epochs = EPOCHS
    trial._made = SimpleNamespace(epoch=3, run_epoch=run_epoch)  # type: ignore[assignment]
    if own:
        assert trial.step()["reason"] == str(error)
    else:
        with pytest.raises(RuntimeError) as raised:
            trial.step()
        assert raised.value is error


def test_a_checkpoint_that_cannot_be_read_is_the_storages_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is damaged is the trial's."""
    write_state(tmp_path, {"weight": torch.ones(2)}, {"epoch": 3})
    assert trainable._state(tmp_path)[1] == {"epoch": 3}

    whole = (tmp_path / "training.safetensors").read_bytes()
    (tmp_path / "training.safetensors").write_bytes(whole[:-1])
    with pytest.raises(InputError, match="its hash is another"):
        trainable._state(tmp_path)

    def stale(_: Path) -> bytes:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "read_bytes", stale)
    with pytest.raises(OSError, match="Stale file handle"):
        trainable._state(tmp_path)
    with pytest.raises(FileNotFoundError):
        trainable._state(tmp_path / "gone")
