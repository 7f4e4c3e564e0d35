"""Records in Optuna's terms: distributions, trials, the journal, importances."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from tests.builders import best_score
from tests.tuning.search.builders import create_searcher, ended_trial, made_up_rmse, suggest
from tuning.search.optuna_trials import (
    Journal,
    hyperparameter_importances,
    to_distribution,
    to_frozen_trial,
)
from tuning.space.schema import Choices, FloatRange, IntRange
from tuning.space.search_space import ParameterRange, SearchSpace, Value, read_space
from tuning.study.trial import State, Trial


@pytest.mark.parametrize(
    ("parameter", "distribution"),
    [
        (
            IntRange(low=16, high=128, log=True),
            IntDistribution(16, 128, log=True),
        ),
        (
            IntRange(low=24, high=72, step=24),
            IntDistribution(24, 72, step=24),
        ),
        (
            FloatRange(low=0.0, high=0.4, step=0.1),
            FloatDistribution(0.0, 0.4, step=0.1),
        ),
        (
            Choices(choices=("mse", "mae")),
            CategoricalDistribution(("mse", "mae")),
        ),
    ],
)
def test_parameters_in_optunas_terms(parameter: ParameterRange, distribution: object) -> None:
    assert to_distribution(parameter) == distribution


def test_journal_opens_in_optuna(tiny: SearchSpace, tmp_path: Path) -> None:
    searcher = create_searcher(tiny, concurrency=9)
    journal = Journal("air", tiny)
    states: list[State] = ["finished", "stopped_early", "failed"]
    for number, state in enumerate(states):
        record = ended_trial(number, suggest(searcher, number)["hyperparameters"], state)
        record.reason = "the loss is not finite" if state == "failed" else None
        journal.add(record)
    (tmp_path / "optuna.journal").write_bytes(journal.to_bytes())
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(tmp_path / "optuna.journal")))
    study = optuna.load_study(study_name="air", storage=storage)
    assert [t.state for t in study.trials] == [
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
    ]
    assert study.trials[0].params == {
        "hidden_size": 8,
        "num_layers": 1,
        "learning_rate": 0.01,
        "loss": "mse",
    }
    assert study.best_value == pytest.approx(made_up_rmse(study.trials[0].params))
    assert list(study.trials[1].intermediate_values) == [4]
    assert study.trials[2].user_attrs == {"trial": 2, "reason": "the loss is not finite"}


def test_finished_record_without_rmse_is_refused(tiny: SearchSpace) -> None:
    with pytest.raises(ValueError, match="trial 3 is finished, but its record has no RMSE"):
        to_frozen_trial(Trial(3, {"hidden_size": 8}, "finished"), tiny)


def test_importances_are_of_finished_trials(space: Callable[..., Path]) -> None:
    """The RMSE follows the learning rate alone; trials that stopped early would say otherwise."""
    search_space = read_space(str(space()))
    rng = np.random.default_rng(1)

    def trial(number: int, state: State) -> Trial:
        rate, units = float(10 ** rng.uniform(-3, -1.31)), int(rng.integers(4, 17))
        config: dict[str, Value] = {
            "hidden_size": units,
            "num_layers": 1,
            "learning_rate": rate,
            "loss": str(rng.choice(["mse", "mae"])),
        }
        rmse = rate if state == "finished" else units
        best = best_score(1, rmse)
        return Trial(number, config, state, best=best)

    trials = [trial(n, "finished" if n % 2 else "stopped_early") for n in range(60)]
    shares = hyperparameter_importances(trials, search_space)
    assert shares is not None
    assert list(shares) == sorted(shares, key=lambda name: -shares[name])
    assert set(shares) == {"hidden_size", "num_layers", "learning_rate", "loss"}
    assert shares["learning_rate"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
    # Seven finished trials say next to nothing.
    assert hyperparameter_importances(trials[:14], search_space) is None
    assert hyperparameter_importances(trials[:16], search_space) is not None


def test_optunas_verbosity_stays_as_it_was(
    tiny: SearchSpace, caplog: pytest.LogCaptureFixture
) -> None:
    configs = [{**tiny.initial_trials[0], "learning_rate": 0.001 * n} for n in range(1, 41)]
    trials = [ended_trial(number, config) for number, config in enumerate(configs)]
    before = optuna.logging.get_verbosity()
    try:
        for verbosity in (optuna.logging.INFO, optuna.logging.ERROR):
            optuna.logging.set_verbosity(verbosity)
            optuna.logging.enable_propagation()
            create_searcher(tiny)
            Journal("air", tiny)
            hyperparameter_importances(trials, tiny)
            assert optuna.logging.get_verbosity() == verbosity
            assert not caplog.records
    finally:
        optuna.logging.disable_propagation()
        optuna.logging.set_verbosity(before)
