"""ASHA and its peers: which trials go on and which stop early."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

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


def decision_epochs(settings: StudySettings) -> frozenset[int]:
    """The epochs after which the scheduler may stop a trial: it has to hear of each by itself."""
    if settings.scheduler == "median":
        return frozenset(range(1, settings.max_epochs + 1))
    rungs: list[int] = []
    if settings.scheduler == "asha":
        rung = grace_period(settings.max_epochs)
        while rung < settings.max_epochs:
            rungs.append(rung)
            rung *= REDUCTION_FACTOR
    return frozenset(rungs)


class _ASHA(AsyncHyperBandScheduler):  # type: ignore[misc]
    """Its rungs fill again with what a resumed trial did before."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        for result in _past(trial):
            self.on_trial_result(tune_controller, trial, result)


class _Median(FIFOScheduler):  # type: ignore[misc]
    """The median stopping rule (Golovin et al. 2017, "Google Vizier: A Service for Black-Box
    Optimization", doi:10.1145/3097983.3098043).

    A trial stops where its lowest RMSE is above the median of the others' running means, of those
    that came as far. What a resumed trial did before counts, and is not decided on once more. An
    epoch counts once, be it trained twice, as after a worker's death. No trial is paused to wait
    for others: it would need a checkpoint and a worker anew.
    """

    def __init__(self, grace_period: int) -> None:
        """grace_period: epochs that every trial runs; running means begin there too."""
        super().__init__()
        self._grace_period = grace_period
        self._curves: dict[str, dict[int, float]] = {}  # RMSE by epoch, by trial

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        for result in _past(trial):
            self._keep(trial, result)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
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
        # A trial whose RMSE is no number stops too.
        stops = len(means) >= MIN_TRIALS_FOR_MEDIAN and not lowest <= median(means)
        return str(TrialScheduler.STOP if stops else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if "rmse" in result:  # not in that of a trial that ends before its first epoch
            self._keep(trial, result)

    def _keep(self, trial: Any, result: dict[str, Any]) -> None:
        self._curves.setdefault(trial.trial_id, {})[result["epoch"]] = result["rmse"]

    def _running_mean(self, curve: dict[int, float], epoch: int) -> float:
        values = [rmse for at, rmse in curve.items() if self._grace_period <= at <= epoch]
        return fmean(values) if values else math.nan


def _past(trial: Any) -> list[dict[str, Any]]:
    """The results that a trial had before the study was resumed."""
    return [
        {"epoch": epoch, "rmse": rmse}
        for epoch, rmse in enumerate(trial.config.get("past", ()), start=1)
    ]


def create_scheduler(settings: StudySettings, past: Iterable[Trial] = ()) -> TrialScheduler:
    """asha, median or none, told of the trials that have ended.

    Time is the project's own epoch, so that a resumed trial goes on counting. The metric is the
    lowest RMSE so far, which is what a trial is worth: its best epoch's weights are kept.
    """
    chosen = _scheduler(settings)
    for record in past:
        if record.history and not record.under_way:
            trial = _Ended(f"past {record.id}", {"past": record.best_rmse_by_epoch})
            chosen.on_trial_add(None, trial)
            last = {"epoch": record.epochs, "rmse": record.rmse}
            chosen.on_trial_complete(None, trial, last)
    return chosen


@dataclass
class _Ended:
    """What a scheduler looks at in a trial."""

    trial_id: str
    config: dict[str, Any]
    status: str = "TERMINATED"


def _scheduler(settings: StudySettings) -> TrialScheduler:
    if settings.scheduler == "asha":
        return _ASHA(
            time_attr="epoch",
            metric="rmse",
            mode="min",
            max_t=settings.max_epochs,
            grace_period=grace_period(settings.max_epochs),
            reduction_factor=REDUCTION_FACTOR,
        )
    if settings.scheduler == "median":
        return _Median(grace_period(settings.max_epochs))
    return FIFOScheduler()
