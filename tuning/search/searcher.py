"""A search space as Optuna samples it, behind Ray Tune's searcher interface.

Optuna's study lives in memory; the truth is in the trials' records, which searcher and journal are
built from. What a plain ray.tune.search.optuna.OptunaSearch gets wrong is put right here: a trial
that the scheduler stopped is told as PRUNED, one that failed or came to no finite number as FAIL,
and each question to the sampler depends on the seed, the trial's number and the past alone.
"""

import copy
import json
import math
import sys
import time
from bisect import insort
from collections.abc import Callable, Container, Iterable, Sequence
from operator import attrgetter
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import get_param_importances
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState, create_trial
from ray.tune.search import Searcher

from lstm_model.files import write_file
from lstm_model.seeds import mixed_seed
from tuning.space.search_space import ParameterRange, SearchSpace
from tuning.study.summary import next_rewrite
from tuning.study.trial import Trial
from tuning.study.view import Listener, StudyView

JOURNAL_SECONDS = 10.0

# Ours to Optuna's, of trials that have ended.
STATES = {
    "finished": TrialState.COMPLETE,
    "stopped_early": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}

# TPE's first trials are random. Optuna's own 10 are a fifth of a study of 50, and half of what a
# short one has: with 5 searches of some 20 trials' time came to better models (docs/LOG.md).
N_STARTUP_TRIALS = 5

# How many past trials the sampler is shown at most, and how many of them are the best ones. TPE
# calls 25 good at most.
MAX_HISTORY, BEST_SHOWN = 500, 100

# Fewer say next to nothing of which hyperparameter mattered.
LEAST_FOR_IMPORTANCES = 8


def _create_study(name: str | None, storage: BaseStorage) -> optuna.Study:
    """Without the line that Optuna logs for each, and with its verbosity as it was afterwards."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(verbosity, optuna.logging.WARNING))
    try:
        return optuna.create_study(study_name=name, direction="minimize", storage=storage)
    finally:
        optuna.logging.set_verbosity(verbosity)


class _TPE(TPESampler):
    """Samples together what is in every trial: hidden size and learning rate, say, as a pair.

    Optuna would compare all past trials with each other to find out what that is.
    """

    def __init__(self, seed: int, entries: Iterable[ParameterRange]) -> None:
        super().__init__(seed=seed, multivariate=True, n_startup_trials=N_STARTUP_TRIALS)
        always = sorted((entry for entry in entries if not entry.when), key=attrgetter("name"))
        distributions = {entry.name: to_distribution(entry) for entry in always}
        self._together = {name: each for name, each in distributions.items() if not each.single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._together


def create_sampler(name: str, seed: int, entries: Iterable[ParameterRange]) -> BaseSampler:
    """tpe, gp or random. A new one for every question: see OptunaSearcher.suggest()."""
    if name == "gp":
        return GPSampler(seed=seed, warn_independent_sampling=False)
    if name == "random":
        return RandomSampler(seed=seed)
    return _TPE(seed, entries)


def to_distribution(entry: ParameterRange) -> BaseDistribution:
    """The entry in Optuna's terms."""
    if entry.kind == "categorical":
        return CategoricalDistribution(entry.choices)
    assert entry.low is not None and entry.high is not None
    if entry.kind == "int":
        return IntDistribution(
            int(entry.low), int(entry.high), log=entry.log, step=int(entry.step or 1)
        )
    return FloatDistribution(entry.low, entry.high, log=entry.log, step=entry.step)


def _ask(trial: optuna.Trial, entry: ParameterRange) -> Any:
    if entry.kind == "categorical":
        return trial.suggest_categorical(entry.name, entry.choices)
    assert entry.low is not None and entry.high is not None
    if entry.kind == "int":
        low, high, step = int(entry.low), int(entry.high), int(entry.step or 1)
        return trial.suggest_int(entry.name, low, high, log=entry.log, step=step)
    return trial.suggest_float(entry.name, entry.low, entry.high, log=entry.log, step=entry.step)


class _Thinned(InMemoryStorage):
    """Optuna's memory of a study, of which a long past is shown in part.

    A sampler looks at all past trials for each new one, which takes TPE half a second after ten
    thousand. What it is shown are the BEST_SHOWN best, which TPE calls good, and every n-th of all,
    which say as well as all of them where the others lie. It depends on nothing but the past.
    """

    def __init__(self) -> None:
        super().__init__()
        self._open: set[int] = set()
        self._ended: list[int] = []
        self._ranked: list[tuple[int, float, int]] = []

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        id = super().create_new_trial(study_id, template_trial)
        self._file(id)
        return id

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        done = super().set_trial_state_values(trial_id, state, values)
        self._file(trial_id)
        return done

    def _file(self, id: int) -> None:
        trial = self.get_trial(id)
        if trial.state.is_finished():
            self._open.discard(id)
            insort(self._ended, id)
            insort(self._ranked, (*_rank(trial), id))
        else:
            self._open.add(id)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        if len(self._ended) <= MAX_HISTORY:
            return super().get_all_trials(study_id, deepcopy, states)
        best = {id for _, _, id in self._ranked[:BEST_SHOWN]}
        some = self._ended[:: math.ceil(len(self._ended) / (MAX_HISTORY - BEST_SHOWN))]
        shown = [self.get_trial(id) for id in sorted(best.union(some, self._open))]
        chosen = [trial for trial in shown if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen


def _rank(trial: FrozenTrial) -> tuple[int, float]:
    """Sorts trials as TPE does: first those that finished, by error; then those that were stopped,
    the later the better, then by error; those that failed at the end.
    """
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return -sys.maxsize, trial.value
    if trial.state == TrialState.PRUNED and trial.intermediate_values:
        last = max(trial.intermediate_values)
        return -last, trial.intermediate_values[last]
    return 0, math.inf


class NotPickled:
    """Stays out of the snapshot that Tune pickles: what it would keep is in the trials' records."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()


class OptunaSearcher(NotPickled, Searcher):  # type: ignore[misc]
    """Suggests the configurations of a study, after those of its `past`.

    A suggestion is `{"trial": number, "config": {...}}`; `config` holds the searched
    hyperparameters that exist in this trial and the fixed ones.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        concurrency: Callable[[], int],
        stopping: Callable[[], bool],
        past: Iterable[Trial] = (),
    ) -> None:
        """concurrency: how many trials may be under way. stopping: whether to suggest no more."""
        super().__init__(metric="rmse", mode="min")
        self._space, self._concurrency, self._stopping = space, concurrency, stopping
        self._optuna = _create_study(None, _Thinned())
        self._live: dict[str, optuna.Trial] = {}
        self._points = list(space.initial_trials)
        self._unfinished: list[Trial] = []
        self._one_ended = False
        known = {trial.id: trial for trial in past}
        # A record may be missing among the others, where its file was damaged: it runs again.
        self._numbers = [number for number in range(space.study.trials) if number not in known]
        for _, trial in sorted(known.items()):
            if trial.under_way:
                self._unfinished.append(trial)
            else:
                self._one_ended |= trial.state != "failed"
                self._optuna.add_trial(to_frozen_trial(trial, space))

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next configuration, None while all slots are taken, or FINISHED.

        Trials that were under way when the study ended come first, with `checkpoint`, where they
        go on from, and `past`, the lowest RMSE so far after each epoch that they had. `early` says
        that no trial has ended yet: a model is waited for.
        """
        if self._stopping() or not (self._numbers or self._unfinished):
            return str(Searcher.FINISHED)
        if len(self._live) >= self._concurrency():
            return None
        if self._unfinished:
            record = self._unfinished.pop(0)
            self._optuna.enqueue_trial({k: record.config[k] for k in self._searched(record)})
            trial = self._live[trial_id] = self._optuna.ask()
            for name in self._searched(record):
                _ask(trial, self._space.search[name])
            return {
                "trial": record.id,
                "config": record.config,
                "checkpoint": record.checkpoint,
                "past": record.best_rmse_by_epoch,
            }
        number = self._numbers.pop(0)
        # A sampler made anew from (seed, number) answers the same whether or not the study was
        # interrupted before this question, without any state of its own to keep.
        seed = mixed_seed(self._space.study.seed, number)
        entries = self._space.search.values()
        self._optuna.sampler = create_sampler(self._space.study.sampler, seed, entries)
        if number < len(self._points):
            self._optuna.enqueue_trial(dict(self._points[number]))
        trial = self._live[trial_id] = self._optuna.ask()
        point: dict[str, Any] = {}
        for name, entry in self._space.search.items():
            if entry.active(point):
                point[name] = _ask(trial, entry)
        suggestion = {"trial": number, "config": {**self._space.fixed, **point}}
        return suggestion if self._one_ended else {**suggestion, "early": True}

    def _searched(self, record: Trial) -> list[str]:
        return [name for name in self._space.search if name in record.config]

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna how a trial ended; `result` is its last, which says nothing of the cause."""
        trial = self._live.pop(trial_id, None)
        if trial is None:
            return
        value = (result or {}).get("rmse", math.nan)
        if error or not result or not math.isfinite(value):
            self._optuna.tell(trial, state=TrialState.FAIL)
            return
        self._one_ended = True
        if result["epoch"] >= self._space.study.max_epochs:
            self._optuna.tell(trial, value)
        else:
            # Optuna takes no value with PRUNED: the last one reported stands for it.
            trial.report(value, step=result["epoch"])
            self._optuna.tell(trial, state=TrialState.PRUNED)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing to save: the trials' records are the truth, and nothing is unpickled."""


def to_frozen_trial(record: Trial, space: SearchSpace) -> FrozenTrial:
    """A record as Optuna keeps trials."""
    state = STATES[record.state]
    point = {name: record.config[name] for name in space.search if name in record.config}
    value = float(record.best["rmse"]) if record.best else None
    intermediate = {} if value is None else {record.epochs: value}
    if state == TrialState.COMPLETE and value is None:
        raise ValueError(f"trial {record.id} is finished, but its record has no RMSE")
    return create_trial(
        state=state,
        params=point,
        distributions={name: to_distribution(space.search[name]) for name in point},
        value=value if state == TrialState.COMPLETE else None,
        intermediate_values=intermediate if state != TrialState.FAIL else {},
        user_attrs={"trial": record.id, **({"reason": record.reason} if record.reason else {})},
    )


def hyperparameter_importances(
    trials: Iterable[Trial], space: SearchSpace
) -> dict[str, float] | None:
    """Which hyperparameters mattered for the RMSE of the trials that finished, in shares of 1.

    By Optuna's own choice, PED-ANOVA (Watanabe, Bansal and Hutter 2023,
    doi:10.24963/ijcai.2023/488). Conditional hyperparameters are left out: they exist in some of
    the trials only. None where fewer than LEAST_FOR_IMPORTANCES trials finished, or nothing is
    searched.
    """
    study = _create_study(None, InMemoryStorage())
    finished = [trial for trial in trials if trial.state == "finished"]
    if len(finished) < LEAST_FOR_IMPORTANCES:
        return None
    study.add_trials([to_frozen_trial(trial, space) for trial in finished])
    always = [name for name, entry in space.search.items() if not entry.when]
    if not always:
        return None
    found = get_param_importances(study, params=always)
    return {name: float(share) for name, share in found.items()}


class _LogLines(BaseJournalBackend):
    """Collects Optuna's journal in memory, to be written as one whole file."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return self.logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        # As a file would give them back: JSON, not the caller's objects.
        self.logs.extend(json.loads(json.dumps(log)) for log in logs)


class Journal(Listener):
    """`optuna.journal` of a study, in the format of Optuna's JournalFileBackend: a file for
    optuna-dashboard, rewritten now and then as trials end.
    """

    def __init__(self, name: str, space: SearchSpace) -> None:
        self._space = space
        self._lines = _LogLines()
        self._optuna = _create_study(name, JournalStorage(self._lines))
        self._head = list(self._lines.logs)
        self._trials: dict[int, list[dict[str, Any]]] = {}
        self._due = 0.0

    def on_study_start(self, study: StudyView) -> None:
        for trial in study.trials.values():
            if not trial.under_way:
                self.add(trial)
        self._rewrite(study)

    def on_trial_end(self, study: StudyView, trial: Trial) -> None:
        if not trial.under_way:
            self.add(trial)
        if time.monotonic() >= self._due:
            self._rewrite(study)

    def on_study_end(self, study: StudyView) -> None:
        self._rewrite(study)

    def _rewrite(self, study: StudyView) -> None:
        begun = time.monotonic()
        write_file(study.folder / "optuna.journal", self.to_bytes())
        self._due = next_rewrite(begun, JOURNAL_SECONDS)

    def add(self, record: Trial) -> None:
        """A trial that has ended."""
        before = len(self._lines.logs)
        self._optuna.add_trial(to_frozen_trial(record, self._space))
        self._trials[record.id] = self._lines.logs[before:]

    def to_bytes(self) -> bytes:
        """The file. Optuna numbers trials as they come: those that are all there as we do."""
        trials = [log for _, logs in sorted(self._trials.items()) for log in logs]
        return "".join(json.dumps(log) + "\n" for log in self._head + trials).encode()
