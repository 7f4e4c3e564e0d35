"""ASHA and its peers: which trials go on and which stop early."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from statistics import fmean, median
from typing import Any, NamedTuple

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from tuning.search.searcher import TrialResult
from tuning.space.search_space import StudySettings
from tuning.study.trial import Trial

# About one trial in three goes on. With the grace period below there is one rung.
REDUCTION_FACTOR = 3
# Every trial runs for at least this share of max_epochs. The order of the trials at a third of it
# says little about the order at the end (rank correlation 0.4 univariate), because large learning
# rates look bad until they have come down; at half of it much (0.75 to 0.95; docs/LOG.md).
GRACE_FRACTION = 0.5
# The median of fewer trials' errors says little: Tune's own rule has this number too.
MIN_TRIALS_FOR_MEDIAN = 3


def grace_period(max_epochs: int) -> int:
    """Epochs that every trial runs before it may be stopped."""
    return max(1, math.ceil(GRACE_FRACTION * max_epochs))


class ResumableASHA(AsyncHyperBandScheduler):  # type: ignore[misc]
    """Asynchronous successive halving (Li et al. 2020, "A System for Massively Parallel
    Hyperparameter Tuning", arXiv:1810.05934), as Tune has it.

    Its rungs fill again with what a resumed trial did before.
    """

    def __init__(self, max_epochs: int) -> None:
        super().__init__(
            time_attr="epoch",
            metric="objective",
            mode="min",
            max_t=max_epochs,
            grace_period=grace_period(max_epochs),
            reduction_factor=REDUCTION_FACTOR,
        )

    @staticmethod
    def rungs(max_epochs: int) -> frozenset[int]:
        """The epochs at which trials are compared."""
        grace = grace_period(max_epochs)
        rungs = (grace * REDUCTION_FACTOR**power for power in count())
        return frozenset(takewhile(lambda rung: rung < max_epochs, rungs))

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        for result in _earlier_results(trial):
            self.on_trial_result(tune_controller, trial, result)


class MedianStopping(FIFOScheduler):  # type: ignore[misc]
    """The median stopping rule (Golovin et al. 2017, "Google Vizier: A Service for Black-Box
    Optimization", doi:10.1145/3097983.3098043).

    A trial stops where its lowest objective is above the median of the others' running means, of
    those that came as far. What a resumed trial did before counts, and is not decided on once more.
    An epoch counts once, be it trained twice, as after a worker's death. No trial is paused to wait
    for others: it would need a checkpoint and a worker anew.
    """

    def __init__(self, max_epochs: int) -> None:
        super().__init__()
        # Running means begin there too.
        self._grace_period = grace_period(max_epochs)
        self._curves: dict[str, dict[int, float]] = {}  # objective by epoch, by trial

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        for result in _earlier_results(trial):
            self._keep(trial, result)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: TrialResult) -> str:
        self._keep(trial, result)
        epoch, lowest = result["epoch"], min(self._curves[trial.trial_id].values())
        if epoch < self._grace_period:
            return str(TrialScheduler.CONTINUE)
        means = [
            self._running_mean(curve, epoch)
            for name, curve in self._curves.items()
            if name != trial.trial_id and max(curve) >= epoch
        ]
        means = [mean for mean in means if math.isfinite(mean)]
        # A trial whose objective is no number stops too.
        stops = len(means) >= MIN_TRIALS_FOR_MEDIAN and not lowest <= median(means)
        return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: TrialResult) -> None:
        if "objective" in result:
            self._keep(trial, result)

    def _keep(self, trial: Any, result: TrialResult) -> None:
        self._curves.setdefault(trial.trial_id, {})[result["epoch"]] = result["objective"]

    def _running_mean(self, curve: dict[int, float], epoch: int) -> float:
        values = [value for at, value in curve.items() if self._grace_period <= at <= epoch]
        return fmean(values) if values else math.nan


def _earlier_results(trial: Any) -> list[TrialResult]:
    """What a trial reported before the study was resumed."""
    values = trial.config.get("best_objective_by_epoch", ())
    return [{"epoch": epoch, "objective": value} for epoch, value in enumerate(values, start=1)]


class SchedulerSpec(NamedTuple):
    """Both are functions of max_epochs."""

    create: Callable[[int], TrialScheduler]  # time is TrialResult's epoch, the metric its objective
    decision_epochs: Callable[[int], frozenset[int]]  # after which it may stop a trial


# By their names in a space file.
SCHEDULERS = {
    "asha": SchedulerSpec(ResumableASHA, ResumableASHA.rungs),
    "median": SchedulerSpec(MedianStopping, lambda epochs: frozenset(range(1, epochs + 1))),
    "none": SchedulerSpec(lambda _: FIFOScheduler(), lambda _: frozenset()),
}


def decision_epochs(settings: StudySettings) -> frozenset[int]:
    """The epochs after which the scheduler may stop a trial: it has to hear of each by itself."""
    return SCHEDULERS[settings.scheduler].decision_epochs(settings.max_epochs)


@dataclass
class _PastTrial:
    """As much of Tune's trial as a scheduler looks at, of one that ended before."""

    trial_id: str
    config: Mapping[str, list[float]]
    status: str = "TERMINATED"


def create_scheduler(settings: StudySettings, past: Iterable[Trial] = ()) -> TrialScheduler:
    """The scheduler that the settings name, which knows the `past` trials that have ended.

    Time is the project's own epoch, so that a resumed trial goes on counting. The metric is the
    lowest objective so far, which is what a trial is worth: its best epoch's weights are kept.
    """
    scheduler = SCHEDULERS[settings.scheduler].create(settings.max_epochs)
    for record in past:
        if record.history and not record.under_way:
            values = {"best_objective_by_epoch": record.best_objective_by_epoch}
            trial = _PastTrial(f"past {record.id}", values)
            scheduler.on_trial_add(None, trial)
            last: TrialResult = {"epoch": record.epochs, "objective": record.objective}
            scheduler.on_trial_complete(None, trial, last)
    return scheduler
