"""Which sampler a study has, and how much of its past a sampler sees."""

import math
from typing import get_args

import optuna
import pytest

from tests.tuning.search.builders import create_searcher, made_up_rmse, suggest
from tuning.search.samplers import N_STARTUP_TRIALS, SAMPLERS, create_sampler
from tuning.search.searcher import Suggestion
from tuning.space.schema import StudySettings
from tuning.space.search_space import SearchSpace, read_space


def test_samplers_are_those_of_the_space_file() -> None:
    assert [*SAMPLERS] == [*get_args(StudySettings.model_fields["sampler"].annotation)]


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_is_seeded(name: str) -> None:
    def first(seed: int) -> float:
        study = optuna.create_study(sampler=create_sampler(name, seed, []))
        return study.ask().suggest_float("x", 0, 1)

    assert first(1) == first(1) != first(2)


def test_tpe_finds_the_better_region(tiny: SearchSpace) -> None:
    searcher = create_searcher(tiny)
    errors = []
    for number in range(30):
        errors.append(made_up_rmse(suggest(searcher, number)["hyperparameters"]))
        searcher.on_trial_complete(str(number), {"objective": errors[-1], "epoch": 10})
    assert sum(errors[20:]) / 10 < sum(errors[1:11]) / 10


def test_tpe_with_joint_space_suggests_as_optunas_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours knows from the space what is in every trial; Optuna's finds it in the past."""

    def suggestions() -> list[Suggestion]:
        searcher, suggestions = create_searcher(read_space("univariate.yaml")), []
        for number in range(30):
            suggestions.append(suggestion := suggest(searcher, number))
            rmse = made_up_rmse(suggestion["hyperparameters"])
            searcher.on_trial_complete(str(number), {"objective": rmse, "epoch": 30 - number % 2})
        return suggestions

    ours = suggestions()
    conditional = sum("dropout" in suggestion["hyperparameters"] for suggestion in ours)
    assert 0 < conditional < 30
    monkeypatch.setitem(
        SAMPLERS,
        "tpe",
        lambda seed, _: optuna.samplers.TPESampler(
            seed=seed, multivariate=True, n_startup_trials=N_STARTUP_TRIALS
        ),
    )
    assert suggestions() == ours


def test_long_history_shows_the_best_and_every_nth(
    tiny: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuning.search.samplers.MAX_HISTORY", 8)
    monkeypatch.setattr("tuning.search.samplers.BEST_IN_HISTORY", 4)
    searcher = create_searcher(tiny, concurrency=40)
    for number in range(14):
        suggest(searcher, number)
    for number, (epoch, rmse) in {
        **dict.fromkeys((0, 1, 2, 3, 4), (5, 30.0)),  # stopped early
        5: (10, 25.0),
        6: (10, 22.0),
        7: (8, 21.0),
        8: (5, 20.0),
        9: (5, 19.0),
        10: (10, math.nan),  # failed
        11: (5, 31.0),
    }.items():
        searcher.on_trial_complete(str(number), {"objective": rmse, "epoch": epoch})
    # The best: two that finished, one that got further than the others, the best of those. Of all
    # twelve every third. And what is under way.
    assert [trial.number for trial in searcher.history] == [0, 3, 5, 6, 7, 9, 12, 13]
    assert suggest(searcher, "next")
