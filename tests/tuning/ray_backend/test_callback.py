"""What Tune says, told to a study: in which order, and what is deferred. Without Ray."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import ray

from lstm_model.errors import TrainingFailed
from tuning.ray_backend.callback import StudyCallback
from tuning.ray_backend.stopping import StopRequest
from tuning.study.study import Study
from tuning.study.trial import EpochReport

Events = list[tuple[Any, ...]]


def ray_trial(number: int, **facts: Any) -> Any:
    """As much of Tune's trial as the callback looks at."""
    config = {"trial": number, "hyperparameters": {}}
    return SimpleNamespace(config=config, last_result={"epoch": 1}, **facts)


def report(epoch: int) -> EpochReport:
    return {
        "epoch": epoch,
        "loss": 0.5,
        "rmse": 9.0,
        "mae": 7.0,
        "skill": 0.1,
        "learning_rate": 0.01,
        "gradient_norm": 1.0,
        "best": {"epoch": 1, "rmse": 9.0, "mae": 7.0, "skill": 0.1},
        "seconds": 1.0,
    }


@pytest.fixture
def recorded(
    create_study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> tuple[StudyCallback, Events]:
    """A callback, and what its study of three trials hears from it."""
    study, events = create_study([8, 4, 6]), list[tuple[Any, ...]]()
    for name in ("on_trial_start", "on_epoch", "on_trial_end", "heartbeat"):
        monkeypatch.setattr(study, name, lambda *of, name=name: events.append((name, *of[:1])))
    return StudyCallback(study, StopRequest()), events


def test_trial_is_written_once_its_slot_has_another(
    recorded: tuple[StudyCallback, Events],
) -> None:
    callback, events = recorded
    callback.on_step_begin()
    callback.on_trial_result(ray_trial(0), {"epoch": 1, "reports": [report(1), report(2)]})
    callback.on_trial_complete(ray_trial(0))
    callback.on_step_end()
    assert events == [("heartbeat",)], "the slot has no trial yet"
    callback.on_step_begin()
    callback.on_trial_start(ray_trial(1))
    callback.on_step_end()
    assert events[1:] == [("on_epoch", 0), ("on_epoch", 0), ("on_trial_end", 0), ("heartbeat",)]
    callback.on_step_begin()
    callback.on_step_end()
    assert events[5:] == [("on_trial_start", 1), ("heartbeat",)]


def test_deferred_events_do_not_pile_up(recorded: tuple[StudyCallback, Events]) -> None:
    """Where Tune never has to wait: a trial's next result flushes what was deferred of it."""
    callback, events = recorded
    callback.on_trial_start(ray_trial(0))
    callback.on_trial_start(ray_trial(1))
    callback.on_trial_result(ray_trial(2), {"epoch": 1, "reports": [report(1)]})
    assert not events
    callback.on_trial_result(ray_trial(1), {"epoch": 1, "reports": [report(1)]})
    assert events[:3] == [("on_trial_start", 0), ("on_trial_start", 1), ("on_epoch", 2)]
    assert ("on_epoch", 1) not in events


def test_no_report_is_lost_where_writing_one_fails(create_study: Callable[..., Study]) -> None:
    study, stop = create_study([8]), StopRequest()
    study.listeners.append(Mock(on_epoch=Mock(side_effect=OSError("no space left"))))
    callback = StudyCallback(study, stop)
    callback.on_trial_start(ray_trial(0))
    reports = [report(epoch) for epoch in (1, 2, 3)]
    callback.on_trial_result(ray_trial(0), {"epoch": 3, "objective": 9.0, "reports": reports})
    callback.flush()
    assert study.trials[0].epochs == 3
    assert "no space" in str(stop.failure)


def test_nothing_is_deferred_past_tunes_last_step(create_study: Callable[..., Study]) -> None:
    study = create_study([8, 4])
    callback = StudyCallback(study, StopRequest())

    def states_after_last_step_of(number: int) -> list[str]:
        callback.on_trial_start(ray_trial(number))
        callback.flush()
        callback.on_trial_complete(ray_trial(number))
        callback.on_step_end()
        return [trial.state for trial in study.trials.values()]

    assert states_after_last_step_of(0) == ["running"], "another trial follows"
    assert states_after_last_step_of(1) == ["stopped_early", "stopped_early"]


def test_interruption_keeps_other_trials_events(
    create_study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, ended = create_study([8, 4, 6]), list[int]()
    monkeypatch.setattr(study, "on_trial_start", Mock(side_effect=KeyboardInterrupt))
    monkeypatch.setattr(study, "on_trial_end", lambda number, state: ended.append(number))
    callback = StudyCallback(study, StopRequest())
    callback.on_trial_start(ray_trial(0))
    callback.on_trial_complete(ray_trial(1))
    callback.on_trial_complete(ray_trial(0))  # whose start was delivered in part
    callback.on_trial_complete(ray_trial(2))
    with pytest.raises(KeyboardInterrupt):
        callback.flush()
    callback.flush()
    assert ended == [1, 2]


def test_stopped_trial_stays_stopped_after_timeout(create_study: Callable[..., Study]) -> None:
    """It was asked for no checkpoint, so it could not go on."""
    study, stop = create_study([8, 4]), StopRequest()
    callback = StudyCallback(study, stop)
    trials = [ray_trial(number) for number in (0, 1)]
    for trial in trials:
        callback.on_trial_start(trial)
    for trial in trials:
        trial.last_result = {"epoch": 1, "objective": math.inf, "done": True}
        callback.on_trial_result(trial, trial.last_result)
        stop.stop_all_failed()
        callback.on_trial_complete(trial)
    callback.flush()
    assert stop.failure is None
    assert [study.trials[number].state for number in (0, 1)] == ["stopped_early", "interrupted"]


@pytest.mark.parametrize("written", [0, 10, 40])
def test_error_that_tune_wrote_in_part_is_the_storages(
    create_study: Callable[..., Study], tmp_path: Path, written: int
) -> None:
    error = ray.cloudpickle.dumps(TrainingFailed("its loss is not finite, for some reason"))
    (tmp_path / "error.pkl").write_bytes(error[:written])
    stop = StopRequest()
    callback = StudyCallback(create_study([8]), stop)
    callback.on_trial_error(ray_trial(0, pickled_error_file=str(tmp_path / "error.pkl")))
    assert isinstance(stop.failure, OSError)
    assert "cut off" in str(stop.failure)
