"""The sampler behind Tune's interface: what is suggested, and what Optuna is told of each end."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState
from ray.tune.result import DONE, SHOULD_CHECKPOINT
from ray.tune.search import Searcher

from tests.tuning.search.builders import create_searcher, ended_trial, made_up_rmse, suggest
from tuning.search.samplers import SAMPLERS
from tuning.search.searcher import OptunaSearcher, TrialResult
from tuning.space.search_space import SearchSpace, Value, read_space
from tuning.study.trial import State, Trial

CONFIG: dict[str, Value] = {
    "hidden_size": 8,
    "num_layers": 1,
    "learning_rate": 0.01,
    "loss": "mse",
}


def test_tunes_keys_of_a_result_are_tunes() -> None:
    assert {DONE, SHOULD_CHECKPOINT} <= TrialResult.__annotations__.keys()


def test_initial_trial_comes_first_with_what_is_fixed(tiny: SearchSpace) -> None:
    assert suggest(create_searcher(tiny), "a") == {
        "trial": 0,
        "hyperparameters": {"context_length": 12, "chunk_length": 48, **CONFIG},
        "checkpoint_soon": True,
    }


def test_checkpoints_come_soon_until_a_trial_ended(tiny: SearchSpace) -> None:
    searcher = create_searcher(tiny, concurrency=3)
    first, second = suggest(searcher, "a"), suggest(searcher, "b")
    assert first["checkpoint_soon"]
    assert second["checkpoint_soon"]
    searcher.on_trial_complete("a", {"objective": math.nan, "epoch": 3})
    assert suggest(searcher, "c")["checkpoint_soon"], "one that failed leaves no model"
    searcher.on_trial_complete("b", {"objective": 30.0, "epoch": 10})
    assert "checkpoint_soon" not in suggest(searcher, "d")
    again = create_searcher(tiny, past=(ended_trial(0, first["hyperparameters"]),))
    assert "checkpoint_soon" not in suggest(again, "a")


def test_suggestions_lie_in_the_space(tiny: SearchSpace) -> None:
    searcher = create_searcher(tiny)
    layers = set()
    for number in range(30):
        config = suggest(searcher, number)["hyperparameters"]
        layers.add(config["num_layers"])
        assert ("dropout" in config) == (config["num_layers"] == 2)
        for name, parameter in tiny.search.items():
            if name in config:
                assert parameter.problem(config[name]) is None
        tiny.configuration({k: v for k, v in config.items() if k in tiny.search})
        searcher.on_trial_complete(str(number), {"objective": made_up_rmse(config), "epoch": 10})
    assert layers == {1, 2}
    assert searcher.suggest("one more") == Searcher.FINISHED


def test_no_more_than_the_slots_are_under_way(tiny: SearchSpace) -> None:
    searcher = create_searcher(tiny, concurrency=2)
    assert searcher.suggest("a")
    assert searcher.suggest("b")
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("a", {"objective": 20.0, "epoch": 10})
    assert searcher.suggest("c")


def test_stop_request_ends_the_search(tiny: SearchSpace) -> None:
    searcher = OptunaSearcher(tiny, concurrency=lambda: 9, stopping=lambda: True)
    assert searcher.suggest("a") == Searcher.FINISHED


@pytest.mark.parametrize(
    ("result", "error", "state", "value"),
    [
        ({"objective": 21.5, "epoch": 10}, False, TrialState.COMPLETE, 21.5),
        ({"objective": 21.5, "epoch": 4}, False, TrialState.PRUNED, 21.5),
        ({"objective": math.nan, "epoch": 4}, False, TrialState.FAIL, None),
        ({"objective": math.inf, "epoch": 10}, False, TrialState.FAIL, None),
        ({"objective": 21.5, "epoch": 4}, True, TrialState.FAIL, None),
        (None, True, TrialState.FAIL, None),
        (None, False, TrialState.FAIL, None),
    ],
)
def test_optuna_is_told_how_a_trial_ended(
    tiny: SearchSpace,
    result: TrialResult | None,
    error: bool,
    state: TrialState,
    value: float | None,
) -> None:
    searcher = create_searcher(tiny)
    suggest(searcher, "a")
    searcher.on_trial_complete("a", result, error=error)
    [trial] = searcher.history
    assert trial.state == state
    if state == TrialState.PRUNED:
        assert result is not None
        assert trial.intermediate_values == {result["epoch"]: value}
    elif value is not None:
        assert trial.value == value


def test_end_told_twice_counts_once(tiny: SearchSpace) -> None:
    searcher = create_searcher(tiny)
    suggest(searcher, "a")
    for _ in range(2):
        searcher.on_trial_complete("a", {"objective": 21.5, "epoch": 10})
    searcher.on_trial_complete("never suggested", {"objective": 1.0, "epoch": 10})
    assert [trial.value for trial in searcher.history] == [21.5]


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("max_history", [500, 10])
def test_search_from_records_goes_on_as_before(
    space: Callable[..., Path], name: str, max_history: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be its past shown to the sampler whole or in part."""
    monkeypatch.setattr("tuning.search.samplers.MAX_HISTORY", max_history)
    monkeypatch.setattr("tuning.search.samplers.BEST_IN_HISTORY", max_history // 2)
    tiny = read_space(str(space(trials=16, max_epochs=10)))
    object.__setattr__(tiny.study, "sampler", name)
    states: list[State] = ["finished", "stopped_early", "failed", "finished"]

    def run(searcher: OptunaSearcher, records: dict[int, Trial], until: int) -> None:
        while len(records) < until:
            suggestion = suggest(searcher, len(records))
            number, config = suggestion["trial"], suggestion["hyperparameters"]
            record = records[number] = ended_trial(number, config, states[number % 4])
            result: TrialResult = {"objective": record.rmse, "epoch": record.epochs}
            searcher.on_trial_complete(str(number), None if record.state == "failed" else result)

    whole: dict[int, Trial] = {}
    run(create_searcher(tiny), whole, 16)
    parts: dict[int, Trial] = {}
    run(create_searcher(tiny), parts, 11)
    run(create_searcher(tiny, past=tuple(parts.values())), parts, 16)
    assert [trial.config for trial in parts.values()] == [trial.config for trial in whole.values()]


def test_interrupted_trial_comes_first(tiny: SearchSpace) -> None:
    searcher = create_searcher(tiny)
    records = []
    for number in range(3):
        records.append(ended_trial(number, suggest(searcher, number)["hyperparameters"]))
        searcher.on_trial_complete(str(number), {"objective": records[-1].rmse, "epoch": 10})
    records[1].state = "interrupted"
    records[1].checkpoint = "checkpoints/0/1/checkpoint_000002"
    records[1].history = [{"rmse": 30.0}, {"rmse": 28.0}, {"rmse": 29.0}]

    again = create_searcher(tiny, concurrency=2, past=tuple(records))
    assert suggest(again, "a") == {
        "trial": 1,
        "hyperparameters": records[1].config,
        "checkpoint": "checkpoints/0/1/checkpoint_000002",
        "best_objective_by_epoch": [30.0, 28.0, 28.0],
    }
    assert suggest(again, "b")["trial"] == 3
    again.on_trial_complete("a", {"objective": 27.0, "epoch": 10})
    values = {trial.params["learning_rate"]: trial.value for trial in again.history[:3]}
    assert values[records[1].config["learning_rate"]] == 27.0


def test_record_missing_among_others_runs_again(space: Callable[..., Path]) -> None:
    tiny = read_space(str(space(trials=4)))
    past = tuple(ended_trial(number, CONFIG) for number in (0, 2))
    again = create_searcher(tiny, past=past, concurrency=9)
    assert [suggest(again, trial_id)["trial"] for trial_id in "ab"] == [1, 3]
    assert again.suggest("c") == Searcher.FINISHED


def test_spent_budget_still_ends_what_was_under_way(space: Callable[..., Path]) -> None:
    tiny = read_space(str(space(trials=1)))
    searcher = create_searcher(tiny, past=(Trial(0, CONFIG, "interrupted"),))
    assert suggest(searcher, "a") == {
        "trial": 0,
        "hyperparameters": CONFIG,
        "checkpoint": None,
        "best_objective_by_epoch": [],
    }
    assert searcher.suggest("b") == Searcher.FINISHED
