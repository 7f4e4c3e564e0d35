"""Which configuration is tried next: Optuna's samplers, and how much of the past they see."""

import copy
import math
import sys
from bisect import insort
from collections.abc import Callable, Container, Iterable, Sequence
from operator import attrgetter

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from tuning.search.optuna_trials import to_distribution
from tuning.space.search_space import ParameterRange

# TPE's first trials are random. Optuna's own 10 are a fifth of a study of 50, and half of what a
# short one has: with 5 searches of some 20 trials' time came to better models (docs/LOG.md).
N_STARTUP_TRIALS = 5

# How many past trials a sampler sees at most, and how many of them are the best ones. TPE calls 25
# good at most.
MAX_HISTORY, BEST_IN_HISTORY = 500, 100


class JointSpaceTPE(TPESampler):
    """Multivariate TPE that is told which hyperparameters are in every trial.

    It samples those together: hidden size and learning rate, say, as a pair. Optuna finds them by
    scanning all past trials for each new one. The answers differ only while a conditional
    hyperparameter happens to be in every trial.
    """

    def __init__(self, seed: int, parameters: Iterable[ParameterRange]) -> None:
        super().__init__(seed=seed, multivariate=True, n_startup_trials=N_STARTUP_TRIALS)
        unconditional = (parameter for parameter in parameters if not parameter.when)
        distributions: dict[str, BaseDistribution] = {
            parameter.name: to_distribution(parameter)
            for parameter in sorted(unconditional, key=attrgetter("name"))
        }
        self._joint_space = {name: d for name, d in distributions.items() if not d.single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._joint_space


# By their names in a space file: each makes a sampler out of a seed and the searched parameters.
SAMPLERS: dict[str, Callable[[int, Iterable[ParameterRange]], BaseSampler]] = {
    "tpe": JointSpaceTPE,
    "gp": lambda seed, _: GPSampler(seed=seed, warn_independent_sampling=False),
    "random": lambda seed, _: RandomSampler(seed=seed),
}


def create_sampler(name: str, seed: int, parameters: Iterable[ParameterRange]) -> BaseSampler:
    """The sampler of that name in SAMPLERS.

    A new one for every question, so that the answer depends on the seed, the trial's number and the
    past alone.
    """
    return SAMPLERS[name](seed, parameters)


class SubsampledStorage(InMemoryStorage):
    """Optuna's memory of a study, which shows samplers a part of a long past.

    A sampler looks at all past trials for each new one: after ten thousand that takes TPE half a
    second. Here it sees the BEST_IN_HISTORY best, which TPE calls good, and every n-th of all:
    these say as well where the others lie. What it sees depends on the past alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._open: set[int] = set()
        self._ended: list[int] = []
        self._ranked: list[tuple[int, float, int]] = []

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        id = super().create_new_trial(study_id, template_trial)
        self._index(id)
        return id

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        changed = super().set_trial_state_values(trial_id, state, values)
        self._index(trial_id)
        return changed

    def _index(self, id: int) -> None:
        trial = self.get_trial(id)
        if trial.state.is_finished():
            self._open.discard(id)
            insort(self._ended, id)
            insort(self._ranked, (*_rank(trial), id))
        else:
            self._open.add(id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if len(self._ended) <= MAX_HISTORY:
            return super().get_all_trials(study_id, deepcopy, states)
        best = {id for _, _, id in self._ranked[:BEST_IN_HISTORY]}
        stride = math.ceil(len(self._ended) / (MAX_HISTORY - BEST_IN_HISTORY))
        ids = sorted(best.union(self._ended[::stride], self._open))
        trials = [self.get_trial(id) for id in ids]
        trials = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials


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
