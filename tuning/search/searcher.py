"""A search space as Optuna samples it, behind Ray Tune's searcher interface.

Optuna's study lives in memory; the truth is in the trials' records, which searcher and journal are
built from. What a plain ray.tune.search.optuna.OptunaSearch gets wrong is put right here: a trial
that the scheduler stopped is told as PRUNED, one that failed or came to no finite number as FAIL,
and each question to the sampler depends on the seed, the trial's number and the past alone.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NotRequired, TypedDict

import optuna
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from lstm_model.seeds import mixed_seed
from tuning.search.optuna_trials import (
    create_optuna_study,
    suggest_value,
    to_distribution,
    to_frozen_trial,
)
from tuning.search.samplers import SubsampledStorage, create_sampler
from tuning.space.search_space import SearchSpace, Value
from tuning.study.trial import EpochReport, Trial


class Suggestion(TypedDict):
    """What a trial is to train: Tune's `config` of it."""

    trial: int  # its number in the study
    hyperparameters: Mapping[str, Value]  # the searched ones that exist in it, and the fixed ones
    # Of a trial that goes on: where from, relative to the study's folder (None: from its start),
    # and the lowest objective so far after each epoch that it had.
    checkpoint: NotRequired[str | None]
    best_objective_by_epoch: NotRequired[list[float]]
    # No trial has ended yet, so that a checkpoint is the only model there is.
    checkpoint_soon: NotRequired[bool]


class TrialResult(TypedDict, total=False):
    """What a trial says at the end of a step. It is empty where a trial ends before its first."""

    epoch: int  # the last one, from 1
    objective: float  # the lowest so far, which searcher and scheduler go by; NaN of a failed trial
    reports: Sequence[EpochReport]  # of the step's epochs, for the trial's record
    reason: str  # why the trial can't go on, where that is its own fault
    interrupted: bool  # the study was asked to stop by then: the trial goes on when it is resumed
    # Tune's own keys: the trial has ended; it has to be saved now.
    done: bool
    should_checkpoint: bool


class NotPickled:
    """Stays out of the snapshot that Tune pickles: what it would keep is in the trials' records."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()


class OptunaSearcher(NotPickled, Searcher):  # type: ignore[misc]
    """Suggests the configurations of a study, after those of its `past`."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        concurrency: Callable[[], int],
        stopping: Callable[[], bool],
        past: Iterable[Trial] = (),
    ) -> None:
        """concurrency: how many trials may be under way. stopping: whether to suggest no more."""
        super().__init__(metric="objective", mode="min")
        self._space, self._concurrency, self._stopping = space, concurrency, stopping
        self._study = create_optuna_study(SubsampledStorage())
        self._live: dict[str, optuna.Trial] = {}
        self._unfinished: list[Trial] = []
        self._any_ended = False
        records = {record.id: record for record in past}
        # A record may be missing among the others, where its file was damaged: it runs again.
        self._numbers = [number for number in range(space.study.trials) if number not in records]
        for _, record in sorted(records.items()):
            if record.under_way:
                self._unfinished.append(record)
            else:
                self._any_ended |= record.state != "failed"
                self._study.add_trial(to_frozen_trial(record, space))

    @property
    def history(self) -> list[FrozenTrial]:
        """What the sampler sees: trials that ended, or a part of them, and those under way."""
        return self._study.trials

    def suggest(self, trial_id: str) -> Suggestion | str | None:
        """The next configuration, None while all slots are taken, or FINISHED.

        Trials that were under way when the study ended come first.
        """
        if self._stopping() or not (self._numbers or self._unfinished):
            return str(Searcher.FINISHED)
        if len(self._live) >= self._concurrency():
            return None
        if self._unfinished:
            return self._continue(trial_id, self._unfinished.pop(0))
        return self._begin(trial_id, self._numbers.pop(0))

    def _continue(self, trial_id: str, record: Trial) -> Suggestion:
        """Tell Optuna of a trial that goes on as if it had chosen its configuration now."""
        names = [name for name in self._space.search if name in record.config]
        self._study.enqueue_trial({name: record.config[name] for name in names})
        self._live[trial_id] = self._study.ask(
            {name: to_distribution(self._space.search[name]) for name in names}
        )
        return {
            "trial": record.id,
            "hyperparameters": record.config,
            "checkpoint": record.checkpoint,
            "best_objective_by_epoch": record.best_objective_by_epoch,
        }

    def _begin(self, trial_id: str, number: int) -> Suggestion:
        """Ask the sampler for a new configuration, or take the initial trial of that number."""
        # A sampler made anew from (seed, number) answers the same whether or not the study was
        # interrupted before this question, without any state of its own to keep.
        seed = mixed_seed(self._space.study.seed, number)
        parameters = self._space.search.values()
        self._study.sampler = create_sampler(self._space.study.sampler, seed, parameters)
        if number < len(self._space.initial_trials):
            self._study.enqueue_trial(dict(self._space.initial_trials[number]))
        trial = self._live[trial_id] = self._study.ask()
        point: dict[str, Value] = {}
        for name, parameter in self._space.search.items():
            if parameter.active(point):
                point[name] = suggest_value(trial, name, to_distribution(parameter))
        config = {**self._space.fixed, **point}
        suggestion: Suggestion = {"trial": number, "hyperparameters": config}
        return suggestion if self._any_ended else {**suggestion, "checkpoint_soon": True}

    def on_trial_complete(
        self, trial_id: str, result: TrialResult | None = None, error: bool = False
    ) -> None:
        """Tell Optuna how a trial ended; `result` is its last, which says nothing of the cause."""
        trial = self._live.pop(trial_id, None)
        if trial is None:
            return
        value = (result or {}).get("objective", math.nan)
        if error or not result or not math.isfinite(value):
            self._study.tell(trial, state=TrialState.FAIL)
            return
        self._any_ended = True
        if result["epoch"] >= self._space.study.max_epochs:
            self._study.tell(trial, value)
        else:
            # Optuna takes no value with PRUNED: the last one reported stands for it.
            trial.report(value, step=result["epoch"])
            self._study.tell(trial, state=TrialState.PRUNED)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing to save: the trials' records are the truth, and nothing is unpickled."""
