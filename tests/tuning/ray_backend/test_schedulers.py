"""One life cycle through every scheduler: bad trials beside good ones, on made-up results."""

import math
import random
from collections.abc import Sequence
from typing import get_args
from unittest.mock import Mock

import pytest
from ray.tune.schedulers import MedianStoppingRule, TrialScheduler

from tests.builders import best_score
from tuning.ray_backend.schedulers import (
    SCHEDULERS,
    create_scheduler,
    decision_epochs,
    grace_period,
)
from tuning.space.search_space import StudySettings
from tuning.study.trial import Trial


def test_schedulers_are_those_of_the_space_file() -> None:
    assert [*SCHEDULERS] == [*get_args(StudySettings.model_fields["scheduler"].annotation)]


@pytest.mark.parametrize(("epochs", "grace"), [(1, 1), (2, 1), (3, 2), (30, 15), (40, 20)])
def test_every_trial_runs_half_of_its_epochs(epochs: int, grace: int) -> None:
    assert grace_period(epochs) == grace


def lives(
    name: str, errors: list[float], epochs: int = 20, past: Sequence[Trial] = ()
) -> list[int]:
    """How many epochs each of some trials lives that run one after another at a constant error."""
    settings = StudySettings(scheduler=name, max_epochs=epochs)  # type: ignore[arg-type]
    scheduler = create_scheduler(settings, past)
    lived = []
    for number, error in enumerate(errors):
        trial = Mock(trial_id=str(number), config={}, status="RUNNING")
        # Another trial waits: nothing is paused in its favour.
        controller = Mock(get_live_trials=lambda: [Mock(status="PENDING")])
        scheduler.on_trial_add(controller, trial)
        for epoch in range(1, epochs + 1):
            # Time counts in the project's epochs, whatever Tune's own iteration is.
            result = {"epoch": epoch, "objective": error, "training_iteration": 1, "done": False}
            decision = scheduler.on_trial_result(controller, trial, result)
            assert decision in (TrialScheduler.STOP, TrialScheduler.CONTINUE)
            if decision == TrialScheduler.STOP or epoch == epochs:
                scheduler.on_trial_complete(controller, trial, result)
                lived.append(epoch)
                break
    return lived


def test_asha_stops_the_worse_two_thirds_at_the_rung() -> None:
    assert lives("asha", [20.0, 30.0, 31.0, 19.0, 32.0, 33.0]) == [20, 10, 10, 20, 10, 10]


def test_the_median_rule_stops_what_is_worse_than_most() -> None:
    lived = lives("median", [20.0, 21.0, 22.0, 40.0, 19.0])
    assert lived == [20, 20, 20, 10, 20]


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("epochs", [1, 2, 7, 20, 40])
def test_trials_are_stopped_at_decision_epochs_alone(name: str, epochs: int) -> None:
    """Trials report some epochs at once, but never past one that may be their last."""
    settings = StudySettings(scheduler=name, max_epochs=epochs)  # type: ignore[arg-type]
    errors = [20.0, 30.0, 31.0, 19.0, 32.0, 33.0, 34.0]
    stopped = {lived for lived in lives(name, errors, epochs) if lived < epochs}
    assert stopped <= decision_epochs(settings)
    assert bool(stopped) == (name != "none" and epochs > 1), "or nothing was tried"


@pytest.mark.parametrize("name", ["asha", "median"])
def test_scheduler_from_records_decides_as_before(name: str) -> None:
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
                best=best_score(1, error),
                history=[{"rmse": error}] * epochs,
            )
            for number, (error, epochs) in enumerate(zip(errors, whole, strict=True))
        ][:stop]
        assert whole[:stop] + lives(name, errors[stop:], past=records) == whole


def test_resumed_trial_counts_as_it_was_at_the_rung() -> None:
    settings = StudySettings(scheduler="asha", max_epochs=20)
    scheduler = create_scheduler(settings)
    good = Mock(trial_id="good", config={"best_objective_by_epoch": [20.0] * 12}, status="RUNNING")
    scheduler.on_trial_add(Mock(), good)
    result = {"epoch": 13, "objective": 15.0}  # better since: what counts is the 20 at epoch 10
    assert scheduler.on_trial_result(Mock(), good, result) == TrialScheduler.CONTINUE
    for number, (error, decision) in enumerate(
        [(30.0, TrialScheduler.STOP), (19.0, TrialScheduler.CONTINUE)]
    ):
        trial = Mock(trial_id=str(number), config={}, status="RUNNING")
        scheduler.on_trial_add(Mock(), trial)
        result = {"epoch": 10, "objective": error}
        assert scheduler.on_trial_result(Mock(), trial, result) == decision


def test_the_median_rule_goes_on_with_a_resumed_trial() -> None:
    """It has what the trial had, and judges what is new."""
    settings = StudySettings(scheduler="median", max_epochs=20)
    scheduler = create_scheduler(settings)
    bad = Mock(trial_id="bad", config={"best_objective_by_epoch": [30.0] * 12}, status="RUNNING")
    for number, error in enumerate((20.0, 21.0, 22.0)):
        trial = Mock(trial_id=str(number), config={}, status="RUNNING")
        scheduler.on_trial_add(None, trial)
        for epoch in range(1, 21):
            result = {"epoch": epoch, "objective": error}
            assert scheduler.on_trial_result(None, trial, result) == TrialScheduler.CONTINUE
        scheduler.on_trial_complete(None, trial, result)
    scheduler.on_trial_add(None, bad)
    stopped = scheduler.on_trial_result(None, bad, {"epoch": 13, "objective": 29.0})
    assert stopped == TrialScheduler.STOP
    # Its worker dies before it could be stopped: it comes again, and is judged again.
    scheduler.on_trial_add(None, bad)
    again = scheduler.on_trial_result(None, bad, {"epoch": 13, "objective": 29.0})
    assert again == TrialScheduler.STOP
    better = scheduler.on_trial_result(None, trial, {"epoch": 13, "objective": 20.5})
    assert better == TrialScheduler.CONTINUE


@pytest.mark.parametrize("seed", range(40))
def test_the_median_rule_decides_as_tunes_own(seed: int) -> None:
    """On random errors of trials that run beside each other, in any order, some without end."""
    draw = random.Random(seed)
    epochs = draw.choice([4, 9, 20])
    settings = StudySettings(scheduler="median", max_epochs=epochs)
    ours = create_scheduler(settings)
    theirs = MedianStoppingRule(
        time_attr="epoch", metric="objective", mode="min", grace_period=grace_period(epochs)
    )
    controller = Mock(get_live_trials=list)  # nobody waits, so theirs pauses nobody
    running: dict[Mock, tuple[int, float]] = {}
    decisions = []
    unborn = [Mock(trial_id=str(number), config={}) for number in range(30)]
    while unborn or running:
        if unborn and len(running) < 4:
            trial = unborn.pop()
            running[trial] = 0, draw.choice([20.0, 30.0, 99.0])
            for rule in (ours, theirs):
                rule.on_trial_add(controller, trial)
        trial = draw.choice(list(running))
        epoch, lowest = running[trial]
        lowest = min(lowest, draw.gauss(20 + 20 / (1 + epoch), 4))
        running[trial] = epoch + 1, lowest
        result = {"epoch": epoch + 1, "objective": lowest}
        if epoch + 1 == epochs:  # Tune asks nothing then
            for rule in (ours, theirs):
                rule.on_trial_complete(controller, trial, result)
            del running[trial]
        elif draw.random() < 0.02:
            for rule in (ours, theirs):
                rule.on_trial_error(controller, trial)
            del running[trial]
        else:
            decision = theirs.on_trial_result(controller, trial, result)
            assert ours.on_trial_result(controller, trial, result) == decision
            decisions.append(decision)
            if decision == TrialScheduler.STOP:
                del running[trial]
    assert {*decisions} == {TrialScheduler.STOP, TrialScheduler.CONTINUE}, "or nothing was tried"


def test_trials_without_a_finite_rmse_stop() -> None:
    """As in Tune's own rule since 2.60; before, one such trial kept all others running."""
    scheduler = create_scheduler(StudySettings(scheduler="median", max_epochs=8))
    trials = [Mock(trial_id=str(number), config={}) for number in range(6)]
    decisions = [
        scheduler.on_trial_result(None, trial, {"epoch": 6, "objective": error})
        for trial, error in zip(trials, (20.0, math.inf, math.nan, 30.0, 40.0, 31.0), strict=True)
    ]
    assert decisions == ["CONTINUE", "CONTINUE", "CONTINUE", "CONTINUE", "CONTINUE", "STOP"]
    result = {"epoch": 7, "objective": math.nan}
    assert scheduler.on_trial_result(None, trials[2], result) == "CONTINUE"
    for trial in (trials[1], trials[2]):
        assert scheduler.on_trial_result(None, trial, {"epoch": 6, "objective": math.inf}) == "STOP"


def test_the_median_rule_counts_an_epoch_once() -> None:
    """Which is trained again from the last checkpoint where its worker died."""
    settings = StudySettings(scheduler="median", max_epochs=8)
    scheduler = create_scheduler(settings)
    trials = [Mock(trial_id=str(number), config={}) for number in range(5)]
    for trial, error in zip(trials, (20.0, 30.0, 40.0), strict=False):
        scheduler.on_trial_add(None, trial)
        for epoch in (*range(1, 7), 4, 5, 5, 5):
            result = {"epoch": epoch, "objective": error + (10 if epoch == 5 else 0)}
            scheduler.on_trial_result(None, trial, result)
    # The median of 23.3, 33.3 and 43.3.
    assert scheduler.on_trial_result(None, trials[3], {"epoch": 6, "objective": 33.2}) == "CONTINUE"
    # Behind the others again, they still have come as far: of 23.3, 33.3, 33.2 and 43.3.
    assert scheduler.on_trial_result(None, trials[4], {"epoch": 6, "objective": 33.4}) == "STOP"


def test_trial_without_an_epoch_is_no_sample() -> None:
    settings = StudySettings(scheduler="median", max_epochs=8)
    scheduler = create_scheduler(settings)
    stopped = Mock(trial_id="stopped", config={})
    scheduler.on_trial_add(None, stopped)
    scheduler.on_trial_complete(None, stopped, {})
    trial = Mock(trial_id="trial", config={})
    assert scheduler.on_trial_result(None, trial, {"epoch": 5, "objective": 20.0}) == "CONTINUE"


def test_no_scheduler_stops_nothing() -> None:
    assert lives("none", [20.0, 99.0, 30.0]) == [20, 20, 20]
