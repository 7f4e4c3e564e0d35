"""A trial's steps, by themselves: when they end, on a clock of the test's own."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
import torch
from ray.tune.result import SHOULD_CHECKPOINT

from lstm_model.configuration import AS_IT_STANDS
from lstm_model.errors import InputError
from lstm_model.training.state import write_state
from lstm_model.training.trainer import Trainer
from tuning.ray_backend import trainable
from tuning.ray_backend.trainable import CheckpointTimer, Trainable, read_checkpoint

EPOCHS = 30


class Clock:
    """Stands still but for what is trained."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class MadeUpTrainer:
    """As much of a Trainer as a step looks at; an epoch takes so many seconds."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self.epoch = 0
        self.best = SimpleNamespace(score=SimpleNamespace(objective=20.0))

    def run_epoch(self) -> SimpleNamespace:
        self.epoch += 1
        self._clock.now += self._seconds
        return SimpleNamespace(number=self.epoch)


def create_trainable(trainer: Any, **settings: Any) -> Trainable:
    """A trial with this trainer in this process, which Tune would make in a worker."""

    class WithTrainer(Trainable):
        def create_trainer(self) -> Trainer:
            return cast("Trainer", trainer)

    trial = WithTrainer.__new__(WithTrainer)
    usual = {
        "table": None,
        "folder": Path(),
        "target": "pm2.5",
        "reading": AS_IT_STANDS,
        "max_epochs": EPOCHS,
        "seed": 0,
        "threads": 1,
        "gpu": False,
        "decision_epochs": (),
        "report_seconds": 2.0,
        "checkpoint_seconds": 1e9,
    }
    trial.setup({"trial": 0, "hyperparameters": {}}, **{**usual, **settings})
    return trial


@pytest.fixture
def step_ends(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """The epochs that a trial's steps end with."""

    def run(
        seconds: float, decision_epochs: tuple[int, ...] = (), checkpoint_seconds: float = 1e9
    ) -> list[int]:
        clock = Clock()
        monkeypatch.setattr(trainable, "time", clock)
        monkeypatch.setattr(trainable, "epoch_report", lambda epoch: {"epoch": epoch.number})
        trial = create_trainable(
            MadeUpTrainer(clock, seconds),
            decision_epochs=decision_epochs,
            checkpoint_seconds=checkpoint_seconds,
        )
        ends: list[int] = []
        reported: list[int] = []
        while not ends or ends[-1] < EPOCHS:
            result = trial.step()
            reported += [report["epoch"] for report in result["reports"]]
            ends.append(result["epoch"])
            if result.get(SHOULD_CHECKPOINT):
                trial.checkpoint_timer.restart()
        assert reported == list(range(1, EPOCHS + 1))
        return ends

    return run


def test_a_step_ends_every_two_seconds(step_ends: Callable[..., list[int]]) -> None:
    assert step_ends(0.5) == [4, 8, 12, 16, 20, 24, 30], "from 28 on it is a second to the end"
    assert step_ends(3.0) == list(range(1, EPOCHS + 1)), (
        "an epoch that takes longer is one by itself"
    )


def test_no_report_just_before_one_that_has_to_be(step_ends: Callable[..., list[int]]) -> None:
    assert step_ends(0.125, decision_epochs=(15,)) == [15, 30]
    assert step_ends(0.25, decision_epochs=(15,)) == [15, 30], "2 seconds at 8, and 1.75 to go"
    assert step_ends(0.3125, decision_epochs=(15,)) == [7, 15, 22, 30], (
        "2.2 seconds at 7, and 2.5 to go"
    )


def test_decision_epochs_are_reported_by_themselves(step_ends: Callable[..., list[int]]) -> None:
    assert step_ends(0.1, decision_epochs=tuple(range(1, EPOCHS + 1))) == list(range(1, EPOCHS + 1))


def test_checkpoint_is_not_put_off(step_ends: Callable[..., list[int]]) -> None:
    assert step_ends(0.25, decision_epochs=(15,), checkpoint_seconds=1.0) == [
        4,
        8,
        12,
        15,
        16,
        20,
        24,
        28,
        30,
    ]


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
def test_worker_that_may_be_spoilt_is_not_used_again(error: RuntimeError, own: bool) -> None:
    """What Trainable.step() raises ends its process; what it reports ends the trial alone."""
    trial = create_trainable(SimpleNamespace(epoch=3, run_epoch=Mock(side_effect=error)))
    if own:
        result = trial.step()
        assert (result["epoch"], result["reason"], result["done"]) == (3, str(error), True)
    else:
        with pytest.raises(RuntimeError) as raised:
            trial.step()
        assert raised.value is error


@pytest.mark.parametrize(
    ("soon", "saved_after"), [(True, [1, 3, 7, 15, 25, 35]), (False, [10, 20, 30, 40])]
)
def test_first_checkpoints_come_soon(
    soon: bool, saved_after: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(trainable, "time", clock)
    timer = CheckpointTimer(10.0, soon=soon)
    saved = []
    for second in range(1, 45):
        clock.now = float(second)
        if timer.is_due():
            saved.append(second)
            timer.restart()
    assert saved[: len(saved_after)] == saved_after


def test_new_trial_has_its_own_trainer_and_timer() -> None:
    best = SimpleNamespace(score=SimpleNamespace(objective=9.0))
    trainer = SimpleNamespace(epoch=EPOCHS, best=best)
    trial = create_trainable(trainer)
    assert trial.step() == {"epoch": EPOCHS, "objective": 9.0, "reports": [], "done": True}
    assert trial.reset_config({"trial": 1, "hyperparameters": {}, "checkpoint_soon": True})
    trainer.epoch = EPOCHS + 1
    assert trial.suggestion["trial"] == 1
    assert trial.step()["epoch"] == EPOCHS + 1


def test_unreadable_checkpoint_is_the_storages_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is damaged is the trial's."""
    write_state(tmp_path, {"weight": torch.ones(2)}, {"epoch": 3})
    assert read_checkpoint(tmp_path)[1] == {"epoch": 3}

    whole = (tmp_path / "training.safetensors").read_bytes()
    (tmp_path / "training.safetensors").write_bytes(whole[:-1])
    with pytest.raises(InputError, match="its hash is another"):
        read_checkpoint(tmp_path)

    def stale(_: Path) -> bytes:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "read_bytes", stale)
    with pytest.raises(OSError, match="Stale file handle"):
        read_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "gone")
