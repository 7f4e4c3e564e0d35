"""Trials that fail, workers that die, requests to stop: on one real Ray, in this process."""

import json
import math
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import ray
from ray.tune.execution.tune_controller import TuneController

from lstm_model.configuration import Configuration
from lstm_model.errors import TrainingFailed
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.state import write_state
from lstm_model.training.trainer import Epoch, Trainer
from tests.builders import copy_of
from tuning.ray_backend import callback, runner
from tuning.ray_backend.callback import FAILURES_TO_GIVE_UP
from tuning.ray_backend.changes import Changes
from tuning.ray_backend.patches import CONTROLLER, choose_changes
from tuning.ray_backend.runner import run_trials
from tuning.ray_backend.stopping import StopRequest
from tuning.ray_backend.trainable import Trainable
from tuning.study.study import Study
from tuning.study.trial import Trial
from tuning.study.view import Listener, StudyView

FAILS, DIES, DIES_ONCE, ASKS_TOO_MUCH = 5, 6, 7, 9

pytestmark = pytest.mark.usefixtures("local_ray")


class Fragile(Trainable):
    """Fails in its second epoch in a way that the number of hidden units says."""

    def create_trainer(self) -> Trainer:
        trainer = super().create_trainer()
        run_epoch, fate = trainer.run_epoch, trainer.config.hidden_size
        marker = Path(os.environ["TMPDIR_OF_TEST"]) / "died"

        def run_fragile_epoch() -> Epoch:
            if trainer.epoch != 1:
                return run_epoch()
            if fate == DIES or (fate == DIES_ONCE and not marker.exists()):
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if fate == ASKS_TOO_MUCH:
                raise MemoryError("no memory for it")
            if fate == FAILS:
                raise TrainingFailed("NaN")
            return run_epoch()

        trainer.run_epoch = run_fragile_epoch  # type: ignore[method-assign]
        return trainer


class Reluctant(Trainable):
    """Can't take another trial on the first time: as where its disk is full for a moment."""

    def reset(self, *arguments: Any, **named: Any) -> bool:
        refused = Path(os.environ["TMPDIR_OF_TEST"], "refused")
        if not refused.exists():
            refused.touch()
            raise ValueError("not now")
        return bool(super().reset(*arguments, **named))


class Failing(Trainable):
    def create_trainer(self) -> Trainer:
        raise TrainingFailed("NaN")


class FailingButForTheFirst(Trainable):
    def create_trainer(self) -> Trainer:
        if self.suggestion["trial"]:
            raise TrainingFailed("NaN")
        return super().create_trainer()


@pytest.fixture(autouse=True)
def epoch_by_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is reported by itself, so that tests can stop trials after any."""
    monkeypatch.setattr("tuning.ray_backend.runner.REPORT_SECONDS", 0.0)


@pytest.fixture(scope="module", autouse=True)
def workers_know_this_module() -> None:
    """They can't import it: it is sent along with what they are to run."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(params=["changed", "plain"])
def changes(request: pytest.FixtureRequest) -> Changes:
    """Both ways to run trials: by a controller of ours, and by Tune's public interface."""
    if request.param == "plain":
        return Changes(frozenset())
    changes = choose_changes()
    assert CONTROLLER in changes
    return changes


def test_failed_trial_says_why_and_the_study_goes_on(
    create_study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
    changes: Changes,
) -> None:
    monkeypatch.setattr(runner, "Trainable", Fragile)
    study = create_study([4, FAILS, ASKS_TOO_MUCH, 8])
    run_trials(study, StopRequest(), concurrency=lambda: 2, verbose=False, changes=changes)
    states = [(trial.state, trial.reason) for _, trial in sorted(study.trials.items())]
    assert states == [
        ("finished", None),
        ("failed", "NaN"),
        ("failed", "no memory for it"),
        ("finished", None),
    ]
    assert [trial.epochs for _, trial in sorted(study.trials.items())] == [3, 1, 1, 3]


def test_dead_worker_is_replaced_until_given_up(
    create_study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
    changes: Changes,
) -> None:
    monkeypatch.setattr(runner, "Trainable", Fragile)
    monkeypatch.setattr(callback, "RETRIES", 1)
    study = create_study([DIES_ONCE, DIES, 8])
    run_trials(study, StopRequest(), concurrency=lambda: 1, verbose=False, changes=changes)
    assert [study.trials[number].state for number in range(3)] == ["finished", "failed", "finished"]
    assert [epoch["epoch"] for epoch in study.trials[0].history] == [1, 2, 3], "none counted twice"
    assert study.trials[1].reason == "its worker died 2 times"


def test_study_whose_trials_all_fail_is_given_up(
    create_study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
    changes: Changes,
) -> None:
    monkeypatch.setattr(runner, "Trainable", Failing)
    study, stop = create_study([8], trials=9), StopRequest()
    run_trials(study, stop, concurrency=lambda: 1, verbose=False, changes=changes)
    assert stop.all_failed
    assert [trial.state for trial in study.trials.values()] == ["failed"] * FAILURES_TO_GIVE_UP

    monkeypatch.setattr(runner, "Trainable", FailingButForTheFirst)
    study, stop = create_study([8], trials=7, folder="one-good"), StopRequest()
    run_trials(study, stop, concurrency=lambda: 1, verbose=False, changes=changes)
    assert not stop.all_failed
    assert study.view.counts == {"finished": 1, "failed": 6}


def assert_own_epochs(study: Study) -> None:
    for trial in study.trials.values():
        settings = study.space.study
        config = Configuration.model_validate(trial.config)
        alone = Trainer(
            config, study.view.table, max_epochs=settings.max_epochs, seed=settings.seed
        )
        assert [row["loss"] for row in trial.history] == [epoch.loss for epoch in alone]


def test_trial_that_cannot_begin_is_tried_again(
    create_study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own error counts, and no other trial's epochs are taken for its own."""
    monkeypatch.setattr(runner, "Trainable", Reluctant)
    study = create_study([8, 4, 6], max_epochs=1)
    run_trials(study, StopRequest(), concurrency=lambda: 1, verbose=False)
    assert study.view.counts == {"finished": 3}
    assert Path(os.environ["TMPDIR_OF_TEST"], "refused").exists()
    assert_own_epochs(study)


def test_tune_writes_no_snapshots(
    create_study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not with every second checkpoint: to a bucket it would be hundreds of requests."""
    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0.0)
    written = Mock(side_effect=TuneController.save_to_dir)
    monkeypatch.setattr(TuneController, "save_to_dir", lambda *arguments: written(*arguments))
    study = create_study([8, 4], max_epochs=5)
    run_trials(study, StopRequest(), concurrency=lambda: 2, verbose=False)
    assert study.view.counts == {"finished": 2}
    assert written.call_count == 0


def test_trial_that_is_not_best_leaves_no_checkpoint(
    create_study: Callable[..., Study],
    changes: Changes,
) -> None:
    """It would be two thirds as much work as the rest of its end."""
    study = create_study([8, 4, 6, 16, 5], max_epochs=2)
    run_trials(study, StopRequest(), concurrency=lambda: 1, verbose=False, changes=changes)
    lowest, better = math.inf, []
    for _, trial in sorted(study.trials.items()):
        if trial.rmse < lowest:
            lowest = trial.rmse
            better.append(trial.id)
    assert 0 < len(better) < 5
    assert [trial.id for trial in study.trials.values() if trial.saved] == better
    assert study.view.best_trial is study.trials[better[-1]]
    kept = TrainedForecaster.load(study.folder / "best").validation_score
    assert kept is not None
    assert kept.rmse == lowest


def test_stop_interrupts_trials_with_checkpoints(
    create_study: Callable[..., Study],
    changes: Changes,
) -> None:
    study = create_study([4, 8, 12], max_epochs=5000)
    stop = StopRequest()

    study.attach(StopsAt(stop, 1, 3))
    run_trials(study, stop, concurrency=lambda: 2, verbose=False, changes=changes)
    assert [trial.state for trial in study.trials.values()] == ["interrupted", "interrupted"]
    for trial in study.trials.values():
        assert trial.checkpoint is not None
        assert (study.folder / trial.checkpoint / "training.safetensors").exists()


def test_unwritable_folder_ends_the_study(
    create_study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
    changes: Changes,
) -> None:
    study = create_study([4, 8], max_epochs=500)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(study, "on_epoch", full)
    with pytest.raises(OSError, match="No space left"):
        run_trials(study, StopRequest(), concurrency=lambda: 1, verbose=False, changes=changes)


class Unborn(Trainable):
    """Dies before its first step."""

    def setup(self, *_: Any, **named: Any) -> None:
        raise RuntimeError("no such device")


def test_worker_that_cannot_start_is_a_failed_trial(
    create_study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
    changes: Changes,
) -> None:
    monkeypatch.setattr(runner, "Trainable", Unborn)
    monkeypatch.setattr(callback, "RETRIES", 0)
    study, answers = create_study([8]), list[bool]()
    run_trials(
        study,
        StopRequest(),
        concurrency=lambda: 1,
        verbose=False,
        changes=changes,
        first_started=lambda: answers.append(True),
    )
    assert answers, "nobody has to wait for a worker any longer"
    assert study.trials[0].state == "failed"
    assert study.trials[0].reason is not None
    assert "no such device" in study.trials[0].reason


class StopsAt(Listener):
    """Asks for a stop when a trial has had so many epochs."""

    def __init__(self, stop: StopRequest, trial: int, epochs: int) -> None:
        self._stop, self._moment = stop, (trial, epochs)

    def on_epoch(self, study: StudyView, trial: Trial) -> None:
        if (trial.id, trial.epochs) == self._moment:
            self._stop.on_signal(signal.SIGINT)


@pytest.mark.parametrize("series", [1, 3])
def test_stopped_study_ends_as_uninterrupted_one(
    series: int,
    create_study: Callable[..., Study],
    changes: Changes,
) -> None:
    """One worker, stopped at three moments and resumed each time: the same to the last bit."""
    create = partial(create_study, [8, 12], max_epochs=6, trials=5, scheduler="asha", series=series)
    whole = create(folder="whole")
    run_trials(whole, StopRequest(), concurrency=lambda: 1, verbose=False, changes=changes)
    whole.finish("finished")

    parts = create(folder="parts")
    states = []
    for moment in ((0, 2), (1, 3), (2, 1), None):  # trial and epoch; it ends with the next one
        stop = StopRequest()
        if moment:
            parts.attach(StopsAt(stop, *moment))
        run_trials(parts, stop, concurrency=lambda: 1, verbose=False, changes=changes)
        states.append([trial.state for trial in parts.trials.values()])
        parts.finish("interrupted" if moment else "finished")
        if moment:
            parts = copy_of(parts)
            parts.resume([])

    assert [part[-1] for part in states[:3]] == ["interrupted"] * 3
    assert [len(part) for part in states] == [1, 2, 3, 5]
    for uninterrupted, resumed in zip(whole.trials.values(), parts.trials.values(), strict=True):
        for facts in ("config", "state", "history", "best"):
            assert getattr(resumed, facts) == getattr(uninterrupted, facts)
    assert whole.view.best_trial is not None
    assert parts.view.best_trial is not None
    best = whole.trials[0].best
    assert best is not None
    assert len(best.get("by_series", {})) == (series if series > 1 else 0)
    assert whole.view.best_trial.id == parts.view.best_trial.id
    weights = [study.folder / "best" / "model.safetensors" for study in (whole, parts)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert not (parts.folder / "checkpoints").exists()


def test_trial_resumed_at_its_very_end_is_finished(
    create_study: Callable[..., Study],
    changes: Changes,
) -> None:
    """Saved after its last epoch, but the study ended before it heard of that."""
    study = create_study([8], max_epochs=3)
    run_trials(study, StopRequest(), concurrency=lambda: 1, verbose=False, changes=changes)
    study.finish("finished")
    best = study.trials[0].best

    config = study.space.configuration(study.space.initial_trials[0])
    trainer = Trainer(config, study.view.table, max_epochs=3, seed=0)
    for _ in trainer:
        pass
    assert isinstance(study.folder, Path)
    folder = study.folder / "checkpoints" / "0" / "0" / "checkpoint_000000"
    folder.mkdir(parents=True)
    write_state(folder, *trainer.state())
    record = study.folder / "trials" / "0.json"
    left = {"state": "running", "checkpoint": "checkpoints/0/0/checkpoint_000000"}
    record.write_text(json.dumps(json.loads(record.read_text()) | left))
    again = copy_of(study)
    again.resume([])
    run_trials(again, StopRequest(), concurrency=lambda: 1, verbose=False, changes=changes)
    assert (again.trials[0].state, again.trials[0].epochs) == ("finished", 3)
    assert again.trials[0].best == best


def test_studys_own_failure_is_raised_instead_of_tunes(
    create_study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, stop = create_study([8]), StopRequest()

    def fit(_: Any) -> None:
        stop.fail(OSError(28, "No space left on device"))
        raise RuntimeError("TuneError: a long story")

    monkeypatch.setattr("tuning.ray_backend.runner.tune.Tuner.fit", fit)
    plain = Changes(frozenset())
    with pytest.raises(OSError, match="No space left"):
        run_trials(study, stop, concurrency=lambda: 1, verbose=False, changes=plain)
