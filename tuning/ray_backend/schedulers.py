"""ASHA and its peers: which trials go on and which stop early."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from tuning.record import Trial
from tuning.search_space import StudySettings

# About one trial in three goes on. With the grace period below there is one rung.
REDUCTION = 3
# Every trial runs for at least this share of max_epochs. The order of the trials at a third of it
# says little about the order at the end (rank correlation 0.4 univariate), because large learning
# rates look bad until they have come down; at half of it much (0.75 to 0.95; docs/LOG.md).
GRACE = 0.5


def grace_period(max_epochs: int) -> int:
    """Epochs that every trial runs before it may be stopped."""
    return max(1, math.ceil(GRACE * max_epochs))


def judged_at(settings: StudySettings) -> frozenset[int]:
    """The epochs after which the scheduler may stop a trial: it has to hear of each by itself."""
    if settings.scheduler == "median":
        return frozenset(range(1, settings.max_epochs + 1))
    rungs: list[int] = []
    if settings.scheduler == "asha":
        rung = grace_period(settings.max_epochs)
        while rung < settings.max_epochs:
            rungs.append(rung)
            rung *= REDUCTION
    return frozenset(rungs)


class _ASHA(AsyncHyperBandScheduler):  # type: ignore[misc]
    """Its rungs fill again with what a resumed trial did before."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        for result in _past(trial):
            self.on_trial_result(tune_controller, trial, result)


class _Median(MedianStoppingRule):  # type: ignore[misc]
    """What a resumed trial did before is remembered, and not decided on once more. A trial that was
    told to stop may come again, where its worker died before it had: Tune's own rule fails then.
    """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        self._stopped_trials.discard(trial)
        if trial not in self._results and (past := _past(trial)):
            self._results[trial] = past

    def _on_insufficient_samples(self, *_: Any) -> str:
        """Never pause a trial to wait for others: it would need a checkpoint and a worker anew."""
        return str(TrialScheduler.CONTINUE)


def _past(trial: Any) -> list[dict[str, Any]]:
    """The results that a trial had before the study was resumed."""
    return [
        {"epoch": epoch, "rmse": rmse}
        for epoch, rmse in enumerate(trial.config.get("past", ()), start=1)
    ]


def scheduler(settings: StudySettings, past: Iterable[Trial] = ()) -> TrialScheduler:
    """asha, median or none, told of the trials that have ended.

    Time is the project's own epoch, so that a resumed trial goes on counting. The metric is the
    lowest RMSE so far, which is what a trial is worth: its best epoch's weights are kept.
    """
    chosen = _scheduler(settings)
    for record in past:
        if record.history and not record.under_way:
            trial = _Ended(f"past {record.id}", {"past": record.lowest})
            chosen.on_trial_add(None, trial)
            last = {"epoch": record.epochs, "rmse": record.rmse}
            chosen.on_trial_complete(None, trial, last)
    return chosen


@dataclass(frozen=True)
class _Ended:
    """What a scheduler looks at in a trial."""

    trial_id: str
    config: dict[str, Any] = field(hash=False)
    status: str = "TERMINATED"


def _scheduler(settings: StudySettings) -> TrialScheduler:
    if settings.scheduler == "asha":
        return _ASHA(
            time_attr="epoch",
            metric="rmse",
            mode="min",
            max_t=settings.max_epochs,
            grace_period=grace_period(settings.max_epochs),
            reduction_factor=REDUCTION,
        )
    if settings.scheduler == "median":
        return _Median(
            time_attr="epoch",
            metric="rmse",
            mode="min",
            grace_period=grace_period(settings.max_epochs),
        )
    return FIFOScheduler()
