"""One life cycle through every scheduler: bad trials beside good ones, on made-up results."""

from collections.abc import Sequence
from unittest.mock import Mock

import pytest
from ray.tune.schedulers import TrialScheduler

from tuning.ray_backend.schedulers import grace_period, judged_at, scheduler
from tuning.record import Trial
from tuning.search_space import StudySettings


@pytest.mark.parametrize(("epochs", "grace"), [(1, 1), (2, 1), (3, 2), (30, 15), (40, 20)])
def test_every_trial_runs_half_of_its_epochs(epochs: int, grace: int) -> None:
    assert grace_period(epochs) == grace


def lives(
    name: str, errors: list[float], epochs: int = 20, past: Sequence[Trial] = ()
) -> list[int]:
    """How many epochs each of some trials lives that run one after another at a constant error."""
    settings = StudySettings(scheduler=name, max_epochs=epochs)  # type: ignore[arg-type]
    chosen = scheduler(settings, past)
    lived = []
    for number, error in enumerate(errors):
        trial = Mock(trial_id=str(number), config={}, status="RUNNING")
        # Another trial waits: nothing is paused in its favour.
        controller = Mock(get_live_trials=lambda: [Mock(status="PENDING")])
        chosen.on_trial_add(controller, trial)
        for epoch in range(1, epochs + 1):
            # Time counts in the project's epochs, whatever Tune's own iteration is.
            result = {"epoch": epoch, "rmse": error, "training_iteration": 1, "done": False}
            decision = chosen.on_trial_result(controller, trial, result)
            assert decision in (TrialScheduler.STOP, TrialScheduler.CONTINUE)
            if decision == TrialScheduler.STOP or epoch == epochs:
                chosen.on_trial_complete(controller, trial, result)
                lived.append(epoch)
                break
    return lived


def test_asha_stops_the_worse_two_thirds_at_the_rung() -> None:
    assert lives("asha", [20.0, 30.0, 31.0, 19.0, 32.0, 33.0]) == [20, 10, 10, 20, 10, 10]


def test_the_median_rule_stops_what_is_worse_than_most() -> None:
    lived = lives("median", [20.0, 21.0, 22.0, 40.0, 19.0])
    assert lived == [20, 20, 20, 10, 20]


@pytest.mark.parametrize("name", ["asha", "median", "none"])
@pytest.mark.parametrize("epochs", [1, 2, 7, 20, 40])
def test_no_trial_is_stopped_between_the_epochs_it_is_judged_at(name: str, epochs: int) -> None:
    """Trials report some epochs at once, but never past one that may be their last."""
    settings = StudySettings(scheduler=name, max_epochs=epochs)  # type: ignore[arg-type]
    errors = [20.0, 30.0, 31.0, 19.0, 32.0, 33.0, 34.0]
    stopped = {lived for lived in lives(name, errors, epochs) if lived < epochs}
    assert stopped <= judged_at(settings)
    assert bool(stopped) == (name != "none" and epochs > 1), "or nothing was tried"


@pytest.mark.parametrize("name", ["asha", "median"])
def test_a_scheduler_knows_again_what_the_records_say(name: str) -> None:
    """Told of the first trials, it judges the rest as if it had seen them."""
    errors = [20.0, 30.0, 19.0, 31.0, 25.0, 18.0, 33.0]
    whole = lives(name, errors)
    assert min(whole) < max(whole)
    for stop in range(1, len(errors)):
        records = [
            Trial(
                id=number,
                config={},
                state="finished" if epochs == 20 else "stopped_early",
                best={"rmse": error},
                history=[{"rmse": error}] * epochs,
            )
            for number, (error, epochs) in enumerate(zip(errors, whole, strict=True))
        ][:stop]
        assert whole[:stop] + lives(name, errors[stop:], past=records) == whole


def test_a_resumed_trial_is_judged_by_what_it_was_at_the_rung() -> None:
    settings = StudySettings(scheduler="asha", max_epochs=20)
    chosen = scheduler(settings)
    good = Mock(trial_id="good", config={"past": [20.0] * 12}, status="RUNNING")
    chosen.on_trial_add(Mock(), good)
    result = {"epoch": 13, "rmse": 15.0}  # better since: what counts is the 20 at epoch 10
    assert chosen.on_trial_result(Mock(), good, result) == TrialScheduler.CONTINUE
    for number, (error, decision) in enumerate(
        [(30.0, TrialScheduler.STOP), (19.0, TrialScheduler.CONTINUE)]
    ):
        trial = Mock(trial_id=str(number), config={}, status="RUNNING")
        chosen.on_trial_add(Mock(), trial)
        assert chosen.on_trial_result(Mock(), trial, {"epoch": 10, "rmse": error}) == decision


def test_the_median_rule_goes_on_with_a_resumed_trial() -> None:
    """It has what the trial had, and judges what is new."""
    settings = StudySettings(scheduler="median", max_epochs=20)
    chosen = scheduler(settings)
    bad = Mock(trial_id="bad", config={"past": [30.0] * 12}, status="RUNNING")
    for number, error in enumerate((20.0, 21.0, 22.0)):
        trial = Mock(trial_id=str(number), config={}, status="RUNNING")
        chosen.on_trial_add(None, trial)
        for epoch in range(1, 21):
            result = {"epoch": epoch, "rmse": error}
            assert chosen.on_trial_result(None, trial, result) == TrialScheduler.CONTINUE
        chosen.on_trial_complete(None, trial, result)
    chosen.on_trial_add(None, bad)
    stopped = chosen.on_trial_result(None, bad, {"epoch": 13, "rmse": 29.0})
    assert stopped == TrialScheduler.STOP
    # Its worker dies before it could be stopped: it comes again, and is judged again.
    chosen.on_trial_add(None, bad)
    assert chosen.on_trial_result(None, bad, {"epoch": 13, "rmse": 29.0}) == TrialScheduler.STOP
    better = chosen.on_trial_result(None, trial, {"epoch": 13, "rmse": 20.5})
    assert better == TrialScheduler.CONTINUE


def test_no_scheduler_stops_nothing() -> None:
    assert lives("none", [20.0, 99.0, 30.0]) == [20, 20, 20]
