"""A study's records in Optuna's terms: distributions, trials, the journal, importances."""

import json
import time
from collections.abc import Iterable
from itertools import chain
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import get_param_importances
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from lstm_model.files import write_file
from tuning.space.search_space import ParameterRange, SearchSpace, Value
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

# Fewer say next to nothing of which hyperparameter mattered.
MIN_TRIALS_FOR_IMPORTANCES = 8

Distribution = IntDistribution | FloatDistribution | CategoricalDistribution
JournalEntry = dict[str, Any]  # as Optuna makes it: JSON


def create_optuna_study(storage: BaseStorage, name: str | None = None) -> optuna.Study:
    """A study that minimises, without the line that Optuna logs for each.

    Optuna's verbosity is afterwards as it was.
    """
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(verbosity, optuna.logging.WARNING))
    try:
        return optuna.create_study(study_name=name, direction="minimize", storage=storage)
    finally:
        optuna.logging.set_verbosity(verbosity)


def to_distribution(parameter: ParameterRange) -> Distribution:
    """The range of a searched hyperparameter in Optuna's terms."""
    if parameter.kind == "categorical":
        return CategoricalDistribution(parameter.choices)
    low, high, log, step = parameter.low, parameter.high, parameter.log, parameter.step
    assert low is not None and high is not None
    if parameter.kind == "int":
        return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
    return FloatDistribution(low, high, log=log, step=step)


def suggest_value(trial: optuna.Trial, name: str, distribution: Distribution) -> Value:
    """The value that the trial has, or its sampler chooses, for a hyperparameter."""
    if isinstance(distribution, CategoricalDistribution):
        choice = trial.suggest_categorical(name, distribution.choices)
        assert choice is not None
        return choice
    if isinstance(distribution, IntDistribution):
        low, high, step = distribution.low, distribution.high, distribution.step
        return trial.suggest_int(name, low, high, log=distribution.log, step=step)
    least, most = distribution.low, distribution.high
    return trial.suggest_float(name, least, most, log=distribution.log, step=distribution.step)


def to_frozen_trial(record: Trial, space: SearchSpace) -> FrozenTrial:
    """The record of a trial that has ended as Optuna keeps trials.

    Raises:
        ValueError: the record contradicts itself.
    """
    state = STATES[record.state]
    point = {name: record.config[name] for name in space.search if name in record.config}
    value = record.objective if record.best else None
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
    """How much each hyperparameter mattered for the objective of the finished trials.

    By Optuna's own choice, PED-ANOVA (Watanabe, Bansal and Hutter 2023,
    doi:10.24963/ijcai.2023/488). Conditional hyperparameters are left out: they exist in some of
    the trials only.

    Returns:
        Shares of 1, the largest first. None where fewer than MIN_TRIALS_FOR_IMPORTANCES trials
        finished, or nothing is searched.
    """
    finished = [trial for trial in trials if trial.state == "finished"]
    unconditional = [name for name, parameter in space.search.items() if not parameter.when]
    if len(finished) < MIN_TRIALS_FOR_IMPORTANCES or not unconditional:
        return None
    study = create_optuna_study(InMemoryStorage())
    study.add_trials([to_frozen_trial(trial, space) for trial in finished])
    shares = get_param_importances(study, params=unconditional)
    return {name: float(share) for name, share in shares.items()}


class InMemoryJournal(BaseJournalBackend):
    """Optuna's journal in memory, to be written as one whole file."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []

    def read_logs(self, log_number_from: int) -> Iterable[JournalEntry]:
        return self.entries[log_number_from:]

    def append_logs(self, logs: list[JournalEntry]) -> None:
        # As a file would give them back: JSON, not the caller's objects.
        self.entries.extend(json.loads(json.dumps(log)) for log in logs)


class Journal(Listener):
    """`optuna.journal` of a study, for optuna-dashboard: in the format of Optuna's
    JournalFileBackend, and rewritten now and then as trials end.
    """

    def __init__(self, name: str, space: SearchSpace) -> None:
        self._space = space
        self._journal = InMemoryJournal()
        self._study = create_optuna_study(JournalStorage(self._journal), name)
        self._head = list(self._journal.entries)
        self._entries_by_trial: dict[int, list[JournalEntry]] = {}
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
        """Add a trial that has ended.

        Raises:
            ValueError: its record contradicts itself.
        """
        before = len(self._journal.entries)
        self._study.add_trial(to_frozen_trial(record, self._space))
        self._entries_by_trial[record.id] = self._journal.entries[before:]

    def to_bytes(self) -> bytes:
        """The file, with trials in the order of their numbers.

        Optuna numbers trials as they come. Where all trials are there its numbers are ours.
        """
        by_number = [entries for _, entries in sorted(self._entries_by_trial.items())]
        entries = chain(self._head, *by_number)
        return "".join(json.dumps(entry) + "\n" for entry in entries).encode()
